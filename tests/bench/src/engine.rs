//! The database that all contenders share: the local product's, plain and behind TLS, with a merchant's key in it.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use local::template::Product;
use local::{Data, DatabaseOnly, Options};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};
use shared::app::{Error, local_store};
use tempfile::TempDir;
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::workspace;

/// The running database.
pub struct Engine {
    database: DatabaseOnly,
    tls_port: u16,
    connections: Arc<AtomicUsize>,
    folder: TempDir,
    /// A key of a merchant.
    pub key: String,
}

impl Engine {
    /// Starts it, with the template's tables.
    pub async fn start(product: &Product) -> Result<Engine, Error> {
        let folder = tempfile::tempdir()?;
        let data = Data::Folder(folder.path().join("data"));
        let database = DatabaseOnly::start(&Options { data, ..Options::default() }).await?;
        let store = local_store(database.dynamodb_endpoint(), product.table_names());
        let key = local::demo::demo(&store, None, &[]).await?.test;
        let (authority, acceptor) = certificates()?;
        let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
        let tls_port = listener.local_addr()?.port();
        let plain = database.dynamodb_endpoint().trim_start_matches("http://").parse()?;
        let connections = Arc::new(AtomicUsize::new(0));
        tokio::spawn(accept(listener, acceptor, plain, Arc::clone(&connections)));
        let engine = Engine { database, tls_port, connections, folder, key };
        // With Amazon's authorities before it, so that a contender reads as many as it does when it is deployed.
        let amazon = std::fs::read_to_string(workspace().join("shared/src/amazon-roots.pem"))?;
        std::fs::write(engine.authorities(), amazon + &authority)?;
        Ok(engine)
    }

    /// Where it answers.
    pub fn endpoint(&self, secure: bool) -> String {
        let secured = || format!("https://localhost:{}", self.tls_port);
        if secure { secured() } else { self.database.dynamodb_endpoint().to_owned() }
    }

    /// The file with the authorities to trust.
    pub fn authorities(&self) -> PathBuf {
        self.folder.path().join("authorities.pem")
    }

    /// TLS connections opened so far.
    pub fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }

    /// Ends it.
    pub async fn stop(self) {
        self.database.shutdown().await;
    }
}

/// An authority of its own, and a server that it vouches for.
fn certificates() -> Result<(String, TlsAcceptor), Error> {
    let mut authority = CertificateParams::new(Vec::new())?;
    // A name of its own: a certificate whose issuer is called like itself counts as its own authority.
    authority.distinguished_name.push(DnType::CommonName, "Benchmark authority");
    authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(authority, KeyPair::generate()?)?;
    let key = KeyPair::generate()?;
    let certificate = CertificateParams::new(vec!["localhost".into()])?.signed_by(&key, &authority)?;
    let key = PrivateKeyDer::try_from(key.serialize_der())?;
    let mut server = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], key)?;
    server.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok((authority.pem(), TlsAcceptor::from(Arc::new(server))))
}

/// Takes the TLS off each connection and passes it on.
async fn accept(listener: TcpListener, acceptor: TlsAcceptor, plain: SocketAddr, count: Arc<AtomicUsize>) {
    while let Ok((client, _)) = listener.accept().await {
        count.fetch_add(1, Ordering::SeqCst);
        let acceptor = acceptor.clone();
        tokio::spawn(async move {
            // A connection ends when its process is killed, which is how every measurement ends.
            let _ended = pass_on(client, acceptor, plain).await;
        });
    }
}

async fn pass_on(client: TcpStream, acceptor: TlsAcceptor, plain: SocketAddr) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    let mut client = acceptor.accept(client).await?;
    let mut server = TcpStream::connect(plain).await?;
    server.set_nodelay(true)?;
    tokio::io::copy_bidirectional(&mut client, &mut server).await?;
    Ok(())
}
