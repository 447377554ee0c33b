//! Brokers in memory that speak the protocol of Kafka, for tests and trials.
//!
//! ```text
//! brokers TOPIC…
//! ```
//!
//! Makes the topics and says `ready HOST:PORT`. Then it takes a topic and a JSON
//! document per line of standard input, sends the document as a `CloudEvent` in
//! structured mode, and answers `sent` when the brokers have it. It ends with its input.

use std::io::{BufRead as _, Write as _};
use std::time::Duration;

use anyhow::Context as _;
use clap::Parser;
use rdkafka::ClientConfig;
use rdkafka::message::{Header, OwnedHeaders};
use rdkafka::mocking::MockCluster;
use rdkafka::producer::{BaseProducer, BaseRecord, DefaultProducerContext, Producer as _};

/// Longer than brokers in the same process take for anything.
const PATIENCE: Duration = Duration::from_secs(30);
/// What a message in structured mode is.
const STRUCTURED: &str = "application/cloudevents+json; charset=utf-8";

/// Brokers in memory.
#[derive(Debug, Parser)]
struct Arguments {
    /// Topics to make, each with one partition.
    #[arg(required = true)]
    topics: Vec<String>,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let cluster: MockCluster<'static, DefaultProducerContext> =
        MockCluster::new(1).context("start a broker")?;
    for topic in &arguments.topics {
        cluster.create_topic(topic, 1, 1).with_context(|| format!("make the topic {topic}"))?;
    }
    let servers = cluster.bootstrap_servers();
    let producer: BaseProducer = ClientConfig::new()
        .set("bootstrap.servers", &servers)
        .create()
        .context("make a producer")?;
    say(&format!("ready {servers}"))?;
    for line in std::io::stdin().lock().lines() {
        let line = line.context("read a line")?;
        let (topic, document) = line.split_once(' ').context("a line is a topic and a document")?;
        let kind = Header { key: "content-type", value: Some(STRUCTURED) };
        let record: BaseRecord<'_, str, str> =
            BaseRecord::to(topic).payload(document).headers(OwnedHeaders::new().insert(kind));
        producer.send(record).map_err(|(error, _)| error).context("send a message")?;
        producer.flush(PATIENCE).context("wait for the brokers")?;
        say("sent")?;
    }
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    let mut output = std::io::stdout().lock();
    writeln!(output, "{line}").and_then(|()| output.flush()).context("write a line")
}
