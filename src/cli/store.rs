//! `cabildo migrate`.

use clap::Subcommand;

use super::serve::{make_private, profile_of, source_of, with_database};
use super::{Failure, Place, output, runtime};
use crate::app::store_options;
use crate::config::Profile;
use crate::store::Store;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Applies all pending migrations, or none.
    Up(Place),
    /// Lists applied and pending migrations; exit code 1 when one is pending.
    Status(Place),
}

pub(super) fn run(arguments: &Arguments) -> Result<(), Failure> {
    let (What::Up(place) | What::Status(place)) = &arguments.what;
    let profile = profile_of(place);
    let config = with_database(source_of(place)?, &profile)?;
    if let (What::Up(_), Profile::Dev { data_dir }) = (&arguments.what, &profile) {
        make_private(data_dir)?;
    }
    let options = store_options(&config).migrate_options().map_err(anyhow::Error::from)?;
    runtime()?.block_on(async {
        match arguments.what {
            What::Up(_) => {
                for name in Store::migrate(&options).await.map_err(anyhow::Error::from)? {
                    output::print(&format!("applied {name}"));
                }
                Ok(())
            }
            What::Status(_) => {
                let status =
                    Store::migration_status(&options).await.map_err(anyhow::Error::from)?;
                let lists = [
                    ("applied", &status.applied),
                    ("pending", &status.pending),
                    ("unknown", &status.unknown),
                ];
                for (word, names) in lists {
                    for name in names {
                        output::print(&format!("{word} {name}"));
                    }
                }
                if status.pending.is_empty() && status.unknown.is_empty() {
                    Ok(())
                } else {
                    Err(Failure::False("migrations are pending".to_owned()))
                }
            }
        }
    })
}
