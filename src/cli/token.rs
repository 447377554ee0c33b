//! `cabildo token`.

use anyhow::Context as _;
use clap::builder::{PossibleValuesParser, TypedValueParser as _};

use super::serve::source_of;
use super::{Failure, Place, output};
use crate::auth::dev_issuer::{DevIssuer, DevIssuerError, TokenRequest};
use crate::clock::Clock;
use crate::config::{Config, Profile};
use crate::domain::id::{InvalidId, SessionId, TenantId, UserId};
use crate::domain::role::{Role, Roles};

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(flatten)]
    place: Place,
    /// UUID of the tenant.
    #[arg(long, value_parser = parse::<TenantId>)]
    tenant: TenantId,
    /// Id of the person or device.
    #[arg(long, value_parser = parse::<UserId>)]
    user: UserId,
    /// Role of the person or device; may be given several times.
    #[arg(long = "role", required = true, value_parser = role_parser())]
    roles: Vec<Role>,
    /// RFC 7638 thumbprint of the key to which the token is bound: its user must prove possession
    /// of that key. Without one the token allows only reads.
    #[arg(long)]
    jkt: Option<String>,
    /// Name shown to people.
    #[arg(long)]
    name: Option<String>,
    /// The only session for which the token is valid.
    #[arg(long, value_parser = parse::<SessionId>)]
    session: Option<SessionId>,
}

fn parse<T: std::str::FromStr<Err = InvalidId>>(text: &str) -> Result<T, InvalidId> {
    text.parse()
}

fn role_parser() -> impl clap::builder::TypedValueParser<Value = Role> {
    PossibleValuesParser::new(Role::ALL.iter().map(|role| role.as_str()))
        .try_map(|text| Role::parse(&text).ok_or("there is no such role"))
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let data_dir = &arguments.place.data_dir;
    let profile = Profile::Dev { data_dir: data_dir.clone() };
    let config = Config::read(source_of(&arguments.place)?, &profile)
        .map_err(|error| Failure::Usage(error.to_string()))?;
    if DevIssuer::is_absent(data_dir) {
        let named = data_dir.display();
        return Err(Failure::Usage(format!(
            "--data-dir {named}: no development server has kept its data there, so none would take the token; \
             start one first: cabildo serve --dev --data-dir {named}"
        )));
    }
    let issuer = DevIssuer::open(data_dir, config.identity.issuer, config.identity.audience)
        .context("the development issuer")?;
    let request = TokenRequest {
        tenant_id: arguments.tenant,
        user_id: arguments.user.clone(),
        name: arguments.name.clone(),
        roles: Roles::of(&arguments.roles),
        session_id: arguments.session,
        jkt: arguments.jkt.clone(),
    };
    let token = issuer.issue(&request, Clock::system().now()).map_err(|error| match error {
        DevIssuerError::ThumbprintInvalid => Failure::Usage(format!("--jkt: {error}")),
        DevIssuerError::SubjectReserved => Failure::Usage(format!("--user: {error}")),
        DevIssuerError::File { .. } | DevIssuerError::KeyInvalid { .. } => {
            Failure::Missing(error.into())
        }
    })?;
    output::print(&token.access_token);
    Ok(())
}
