//! Starts the media plane.

use std::sync::Arc;

use anyhow::Context as _;
use async_trait::async_trait;

use super::base::Base;
use crate::api::MetricsSource;
use crate::sfu::{Sfu, SfuOptions};

/// The running media plane.
pub(super) struct Media {
    pub(super) sfu: Sfu,
}

impl Media {
    pub(super) fn start(base: &Base) -> anyhow::Result<Self> {
        let media = &base.config.media;
        let options = SfuOptions {
            bind: media.bind,
            candidates: media.candidates.clone(),
            tcp: media.tcp,
            workers: media.workers,
            clock: base.clock.clone(),
        };
        Ok(Self { sfu: Sfu::start(options).context("media.bind")? })
    }

    pub(super) fn readings(&self) -> Arc<dyn MetricsSource> {
        Arc::new(self.sfu.clone())
    }

    pub(super) async fn shutdown(self) {
        self.sfu.shutdown().await;
    }
}

#[async_trait]
impl MetricsSource for Sfu {
    async fn report(&self) {
        self.report_metrics().await;
    }
}
