//! The services around Cabildo, played by one program: identity, governance,
//! tenancy, user profiles, Google Meet and Zoom on one loopback port. It knows an assembly of twelve
//! owners; its page lists codes to try in a session, `GET /stub/try?session_id=…`
//! has them as JSON. `PUT /stub/{service}/mood` makes a service slow, wrong, down
//! or malicious, `PUT /stub/tenants/{id}` changes what tenancy says of a tenant,
//! `GET /stub/calls` lists what was asked and `GET /stub/told` what governance was
//! told.
//!
//! `cargo run -p cabildo-platform -- 127.0.0.1:3020`
//!
//! `--google-key` prints the key file of the service account that its Google Meet
//! knows. `PUT /stub/calls/{meeting}` has people come into a meeting or leave it.
//!
//! With `--until-stdin-ends` it ends with whoever holds its standard input.

#[path = "../../../tests/support/platform.rs"]
mod platform;

use std::io::{Read as _, Write as _};

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1).peekable();
    if arguments.peek().is_some_and(|argument| argument == "--google-key") {
        writeln!(std::io::stdout(), "{}", platform::providers::google_credentials())?;
        return Ok(());
    }
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:0".to_owned());
    if arguments.any(|argument| argument == "--until-stdin-ends") {
        std::thread::spawn(|| {
            let ended = std::io::stdin().read_to_end(&mut Vec::new());
            std::process::exit(i32::from(ended.is_err()));
        });
    }
    let listener = tokio::net::TcpListener::bind(&address).await?;
    writeln!(std::io::stdout(), "platform http://{}/", listener.local_addr()?)?;
    axum::serve(listener, platform::Platform::default().router()).await?;
    Ok(())
}
