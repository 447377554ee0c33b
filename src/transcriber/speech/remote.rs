//! What engines at other services have in common: how their address is read and how they are
//! connected to.

use std::time::Duration;

use reqwest::{ClientBuilder, Url, redirect};

/// Longest time to connect.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The address of a service; `None` unless it is an http or https URL without credentials, which
/// would be logged with it.
pub(super) fn address(text: &str) -> Option<Url> {
    let address = Url::parse(text).ok()?;
    let has_credentials = !address.username().is_empty() || address.password().is_some();
    (matches!(address.scheme(), "http" | "https") && !has_credentials).then_some(address)
}

/// A client that connects to the configured address only: it follows no redirect and uses no
/// proxy. `timeout` is the time for a whole request.
pub(super) fn client(timeout: Duration) -> ClientBuilder {
    reqwest::Client::builder()
        .connect_timeout(CONNECT_TIMEOUT.min(timeout))
        .redirect(redirect::Policy::none())
        .no_proxy()
}
