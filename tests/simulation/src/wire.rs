//! The SDK's HTTP client: hands each request to the simulated network instead of a socket.

use aws_sdk_dynamodb::config::http::{HttpRequest, HttpResponse};
use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents};
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_types::body::SdkBody;

use crate::engine::Answer;
use crate::net::{Asked, Net, Received, Seat};

/// One process's way to the tables.
#[derive(Clone, Debug)]
pub struct Wire {
    /// Whose.
    pub seat: Seat,
    /// Over what.
    pub net: Net,
}

impl Wire {
    async fn send(self, asked: Asked) -> Result<HttpResponse, ConnectorError> {
        self.net.delay().await;
        let mut received = self.net.receive(self.seat, &asked);
        if received == Received::Again {
            // The SDK's own second try: the same bytes once more.
            self.net.delay().await;
            received = Received::Answer(self.net.perform(self.seat, &asked));
        }
        self.net.delay().await;
        match received {
            Received::Answer(answer) => Ok(response(answer)),
            Received::Nothing | Received::Again => Err(ConnectorError::timeout("nobody answered".into())),
        }
    }
}

fn response(answer: Answer) -> HttpResponse {
    HttpResponse::new(answer.status.try_into().expect("a status"), SdkBody::from(answer.body))
}

impl HttpConnector for Wire {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default();
        let body = request.body().bytes().and_then(|body| std::str::from_utf8(body).ok()).unwrap_or_default();
        HttpConnectorFuture::new(self.clone().send(Asked::new(operation, body)))
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}
