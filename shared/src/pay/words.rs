//! The API's words for what the domain, which knows no JSON, keeps as enums.

use serde::Serializer;

use crate::payment::{KycMethod, KycStatus, Status, TransferState};

pub(super) fn status<S: Serializer>(status: &Status, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.as_str())
}

pub(super) fn identity<S: Serializer>(status: &KycStatus, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(status.as_str())
}

pub(super) fn method<S: Serializer>(method: &KycMethod, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(method.as_str())
}

pub(super) fn transfer<S: Serializer>(state: &TransferState, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_str(state.as_str())
}
