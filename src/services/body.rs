//! Reading answers as their contracts say.

use serde::de::DeserializeOwned;

use crate::domain::json::{Objects, mended};
use crate::services::client::RemoteService;
use crate::services::error::ServiceError;

/// The answer as `T`. What differs is named by its member; values of the answer
/// are not repeated, as they may be about people.
pub(super) fn read<T: DeserializeOwned>(
    service: RemoteService,
    answer: &[u8],
) -> Result<T, ServiceError> {
    let answer = mended(answer);
    let mut deserializer = serde_json::Deserializer::from_str(&answer);
    let value = serde_path_to_error::deserialize(Objects(&mut deserializer)).map_err(|error| {
        let path = error.path().to_string();
        let what = match error.inner().classify() {
            serde_json::error::Category::Data => format!("`{path}` is missing or not valid"),
            _ => "it is not JSON".to_owned(),
        };
        ServiceError::NotByContract { service, what }
    })?;
    deserializer.end().map_err(|_| ServiceError::NotByContract {
        service,
        what: "something follows the JSON".to_owned(),
    })?;
    Ok(value)
}

/// An error about one member.
pub(super) fn invalid(service: RemoteService, what: &str) -> ServiceError {
    ServiceError::NotByContract { service, what: format!("`{what}` is not valid") }
}
