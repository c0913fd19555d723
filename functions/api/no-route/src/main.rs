//! Whatever no route serves: 404 for an unknown path, 405 for a wrong method (R10).

use shared::app::App;
use shared::http::{self, ApiError, Call, routes};

fn main() -> http::Outcome {
    http::serve_public(no_route)
}

async fn no_route(_: &App, call: Call<()>) -> http::Result {
    let methods = routes::methods(call.target().1);
    if methods.is_empty() {
        return Err(ApiError::PathNotFound);
    }
    Err(ApiError::MethodNotAllowed { allow: methods.join(", ") })
}
