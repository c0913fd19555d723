//! What the product answered, and what tests ask of every answer.

use reqwest::RequestBuilder;
use reqwest::header::HeaderMap;
use serde_json::{Value, json};

/// An answer, its body as text: amounts are promised digit by digit.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The headers, their names in lower case.
    pub headers: HeaderMap,
    /// The body.
    pub text: String,
}

impl Answer {
    /// Reads the whole answer.
    pub async fn read(response: reqwest::Response) -> Answer {
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Answer { status, headers, text: response.text().await.unwrap() }
    }

    /// Sends a request.
    pub async fn of(request: RequestBuilder) -> Answer {
        Answer::try_of(request).await.expect("the gateway answers")
    }

    /// Sends a request to a gateway that may die.
    pub async fn try_of(request: RequestBuilder) -> Result<Answer, reqwest::Error> {
        let response = request.send().await?;
        let (status, headers) = (response.status().as_u16(), response.headers().clone());
        Ok(Answer { status, headers, text: response.text().await? })
    }

    /// The sentence in a refusal of that status.
    #[track_caller]
    pub fn refusal(&self, status: u16) -> String {
        assert_eq!(self.status, status, "{}", self.text);
        self.json()["detail"].as_str().expect("a sentence").to_owned()
    }

    /// A header, empty if it is not there.
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The body as JSON.
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text)
            .unwrap_or_else(|error| panic!("{error}: {} {}", self.status, self.text))
    }

    /// The payment of a successful answer about one.
    #[track_caller]
    pub fn payment(&self) -> Value {
        assert!(matches!(self.status, 200 | 201), "{} {}", self.status, self.text);
        let body = self.json();
        assert_eq!(body["success"], true, "{}", self.text);
        body["payment"].clone()
    }

    /// The refund of a successful answer about one.
    #[track_caller]
    pub fn refund(&self) -> Value {
        assert!(matches!(self.status, 200 | 201), "{} {}", self.status, self.text);
        let body = self.json();
        assert_eq!(body["success"], true, "{}", self.text);
        body["refund"].clone()
    }

    /// One field of the payment.
    #[track_caller]
    pub fn field(&self, name: &str) -> Value {
        self.payment()[name].clone()
    }

    /// Its payments' ids, of a successful list.
    #[track_caller]
    pub fn listed(&self) -> Vec<String> {
        assert_eq!(self.status, 200, "{}", self.text);
        let list = self.json();
        let ids = list["payments"].as_array().unwrap().iter();
        ids.map(|payment| payment["id"].as_str().unwrap().to_owned()).collect()
    }

    /// An error as the contract has it: `detail` and nothing else, its code, and a request id to ask for (R13).
    #[track_caller]
    pub fn assert_refused(&self, status: u16, code: &str, detail: &str) {
        assert_eq!((self.status, self.json()), (status, json!({ "detail": detail })));
        assert_eq!(self.header("x-error-code"), code);
        assert!(!self.header("x-request-id").is_empty(), "R13");
        assert_eq!(self.header("content-type"), "application/json");
    }
}
