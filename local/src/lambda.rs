//! Lambda on one machine: the functions' real programs behind the runtime API that they poll.

mod api;
mod call;
mod pool;
mod process;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;

use axum::body::Bytes;
use serde_json::Value;
use tokio::net::TcpListener;

use crate::log::Log;
use crate::stop::Stop;
use crate::template::Function;

pub use call::InvokeError;
pub(crate) use call::request_id;
use pool::Pool;
use process::Launch;

/// All functions, ready to be called.
#[derive(Clone)]
pub(crate) struct Lambda {
    pools: Arc<BTreeMap<String, Arc<Pool>>>,
}

/// What all functions have in common.
pub(crate) struct Setting<'a> {
    /// Where the programs are.
    pub(crate) binaries: PathBuf,
    /// Variables by function, template and overrides merged.
    pub(crate) environment: &'a dyn Fn(&Function) -> BTreeMap<String, String>,
    /// Where what they print goes.
    pub(crate) log: Log,
}

impl Lambda {
    /// Serves the runtime API on `listener`; processes start when they are needed.
    pub(crate) fn start(
        functions: &[Function],
        setting: &Setting,
        listener: TcpListener,
        stop: &Stop,
    ) -> std::io::Result<Lambda> {
        let api = listener.local_addr()?;
        let pool = |function: &Function| {
            let launch = launch(function, setting, api);
            (function.name.clone(), Pool::new(launch, function, stop.clone()))
        };
        let pools = Arc::new(functions.iter().map(pool).collect::<BTreeMap<_, _>>());
        api::serve(listener, Arc::clone(&pools), stop);
        Ok(Lambda { pools })
    }

    /// Calls a function by its name in the template.
    pub(crate) async fn invoke(&self, function: &str, payload: &Value) -> Result<Value, InvokeError> {
        let pool = self.pools.get(function).ok_or_else(|| InvokeError::Unknown(function.to_owned()))?;
        let reply = pool.invoke(Bytes::from(payload.to_string())).await?;
        serde_json::from_slice(&reply).map_err(|error| InvokeError::Unreadable(error.to_string()))
    }
}

/// The program with the environment that Lambda gives it, and nothing of ours.
fn launch(function: &Function, setting: &Setting, api: SocketAddr) -> Launch {
    let name = &function.name;
    let mut environment = BTreeMap::from(
        [
            ("AWS_ACCESS_KEY_ID", "local"),
            ("AWS_DEFAULT_REGION", "eu-north-1"),
            ("AWS_EXECUTION_ENV", "AWS_Lambda_rust"),
            ("AWS_LAMBDA_FUNCTION_NAME", name),
            ("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST"),
            ("AWS_LAMBDA_INITIALIZATION_TYPE", "on-demand"),
            ("AWS_LAMBDA_LOG_GROUP_NAME", name),
            ("AWS_LAMBDA_LOG_STREAM_NAME", "local"),
            ("AWS_REGION", "eu-north-1"),
            ("AWS_SECRET_ACCESS_KEY", "local"),
            ("LANG", "en_US.UTF-8"),
            ("TZ", ":UTC"),
            ("_HANDLER", "bootstrap"),
        ]
        .map(|(name, value)| (name.to_owned(), value.to_owned())),
    );
    environment.insert("AWS_LAMBDA_FUNCTION_MEMORY_SIZE".into(), function.memory_mb.to_string());
    environment.extend((setting.environment)(function));
    Launch {
        function: name.clone(),
        program: setting.binaries.join(format!("{}{}", function.binary, std::env::consts::EXE_SUFFIX)),
        environment,
        api,
        log: setting.log.clone(),
    }
}
