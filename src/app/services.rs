//! Clients of the platform's other services. One that is not configured is
//! absent, and what needs it says so.

use std::path::Path;
use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;

use super::base::Base;
use crate::api::MetricsSource;
use crate::config::{ServiceConfig, ServiceTlsConfig};
use crate::domain::secret::Secret;
use crate::services::{
    ClientTls, GovernanceClient, IdentityClient, PlainHttp, ServiceOptions, ServiceState,
    TenancyClient, UserProfilesClient,
};

/// The clients.
#[derive(Clone)]
pub(super) struct Services {
    /// Validates what people present.
    pub(super) identity: Option<Arc<IdentityClient>>,
    /// Is told of sessions, and holds what assemblies decided.
    pub(super) governance: Option<Arc<GovernanceClient>>,
    /// Knows what tenants may use.
    pub(super) tenancy: Option<TenancyClient>,
    /// Knows who is eligible.
    pub(super) user_profiles: Option<Arc<UserProfilesClient>>,
}

impl Services {
    pub(super) fn start(base: &Base) -> anyhow::Result<Self> {
        let services = &base.config.services;
        let options = |name: &str, config: &Option<ServiceConfig>| {
            let context = || format!("services.{name}");
            config.as_ref().map(|config| options_of(base, config).with_context(context)).transpose()
        };
        let clock = || base.clock.clone();
        let identity = options("identity", &services.identity)?
            .map(|options| IdentityClient::new(&options, clock()))
            .transpose()?;
        let governance = options("governance", &services.governance)?
            .map(|options| GovernanceClient::new(&options, clock()))
            .transpose()?;
        let tenancy = options("tenancy", &services.tenancy)?
            .map(|options| TenancyClient::new(&options, clock()))
            .transpose()?;
        let user_profiles = options("user_profiles", &services.user_profiles)?
            .map(|options| UserProfilesClient::new(&options, clock()))
            .transpose()?;
        Ok(Self {
            identity: identity.map(Arc::new),
            governance: governance.map(Arc::new),
            tenancy,
            user_profiles: user_profiles.map(Arc::new),
        })
    }

    /// How those that are configured are doing.
    pub(super) fn states(&self) -> Vec<ServiceState> {
        let states = [
            self.identity.as_ref().map(|client| client.state()),
            self.governance.as_ref().map(|client| client.state()),
            self.tenancy.as_ref().map(TenancyClient::state),
            self.user_profiles.as_ref().map(|client| client.state()),
        ];
        states.into_iter().flatten().collect()
    }

    pub(super) fn readings(&self) -> Arc<dyn MetricsSource> {
        Arc::new(self.clone())
    }
}

#[async_trait]
impl MetricsSource for Services {
    async fn report(&self) {
        for state in self.states() {
            state.report_metrics();
        }
    }
}

fn options_of(base: &Base, config: &ServiceConfig) -> anyhow::Result<ServiceOptions> {
    let services = &base.config.services;
    Ok(ServiceOptions {
        url: config.url.clone(),
        service_id: services.service_id.clone(),
        plain_http: if services.plain_http { PlainHttp::Allowed } else { PlainHttp::LoopbackOnly },
        tls: config.tls.as_ref().map(tls_of).transpose()?,
        timeout: None,
    })
}

fn tls_of(config: &ServiceTlsConfig) -> anyhow::Result<ClientTls> {
    let read = |path: &Path| {
        std::fs::read(path).with_context(|| format!("{} can't be read", path.display()))
    };
    let authorities = read(&config.ca)?;
    let mut identity = Secret::new(read(&config.cert)?);
    let key = Secret::new(read(&config.key)?);
    identity.expose_mut().push(b'\n');
    identity.expose_mut().extend_from_slice(key.expose());
    Ok(ClientTls { authorities, identity })
}
