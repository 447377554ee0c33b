//! What a transcriber tells Prometheus, with the name of its engine. The room counts texts, and how
//! late they are.

use std::time::Duration;

use crate::domain::transcript::GapCause;
use crate::telemetry::metrics::number;
use crate::transcriber::{Transcriber, TranscriberStats};

const GAPS: &str = "cabildo_transcript_gaps_total";
const SHED: &str = "cabildo_transcriber_shed_total";
const WORDLESS: &str = "cabildo_transcriber_wordless_total";
const SO_FAR: &str = "cabildo_transcriber_so_far_total";
const PIECES: &str = "cabildo_transcriber_pieces_total";
const WAITING: &str = "cabildo_transcriber_pieces_waiting";
const BATCHES_WAITING: &str = "cabildo_transcriber_batches_waiting";
const TRACKS: &str = "cabildo_transcriber_tracks";
const PACKETS: &str = "cabildo_transcriber_packets_total";
const DECODED: &str = "cabildo_transcriber_packets_decoded_total";
const CONCEALED: &str = "cabildo_transcriber_packets_concealed_total";
const MALFORMED: &str = "cabildo_transcriber_packets_malformed_total";
const PACKETS_LOST: &str = "cabildo_transcriber_packets_lost_total";
const DISTRUSTED: &str = "cabildo_transcriber_levels_distrusted_total";
const RECOGNITION: &str = "cabildo_transcriber_recognition_seconds";

/// Describes every metric of the transcriber.
pub fn describe_metrics() {
    metrics::describe_counter!(GAPS, "Times of speech without text, by cause.");
    metrics::describe_counter!(
        SHED,
        "Pieces of speech let go since they could not be recognised in time."
    );
    metrics::describe_counter!(WORDLESS, "Pieces of sound in which nothing was understood.");
    metrics::describe_counter!(SO_FAR, "Texts of what was still being said.");
    metrics::describe_counter!(PIECES, "Pieces of speech found.");
    metrics::describe_gauge!(WAITING, "Pieces of speech that wait for a worker.");
    metrics::describe_gauge!(BATCHES_WAITING, "Batches of packets that wait for the transcriber.");
    metrics::describe_gauge!(TRACKS, "Tracks that are transcribed.");
    metrics::describe_counter!(PACKETS, "Packets of transcribed tracks.");
    metrics::describe_counter!(DECODED, "Packets that were decoded; the others were silent.");
    metrics::describe_counter!(CONCEALED, "Lost packets that were reconstructed or concealed.");
    metrics::describe_counter!(
        MALFORMED,
        "Packets that are not RTP or not in the codec of their track."
    );
    metrics::describe_counter!(
        PACKETS_LOST,
        "Packets that were not transcribed, as the transcriber was busy."
    );
    metrics::describe_counter!(
        DISTRUSTED,
        "Tracks whose sender said that there was silence where there was sound."
    );
    metrics::describe_histogram!(RECOGNITION, "Time that a worker took for a piece of speech.");
}

/// There is no text of a time of speech.
pub(super) fn gap_emitted(engine: &str, cause: GapCause) {
    metrics::counter!(GAPS, "engine" => engine.to_owned(), "cause" => cause.as_str()).increment(1);
}

/// A worker has dealt with a piece.
pub(super) fn recognised(engine: &str, took: Duration) {
    metrics::histogram!(RECOGNITION, "engine" => engine.to_owned()).record(took);
}

impl Transcriber {
    /// Copies the counters to the metrics recorder.
    pub fn report_metrics(&self) {
        let TranscriberStats {
            tracks,
            batches_waiting,
            pieces_waiting,
            packets,
            decoded,
            concealed,
            malformed,
            packets_lost,
            levels_distrusted,
            pieces,
            wordless,
            chunks: _,
            so_far,
            gaps: _,
            shed,
        } = self.stats();
        let engine = [("engine", self.name().to_owned())];
        metrics::gauge!(TRACKS, &engine).set(number(tracks));
        metrics::gauge!(BATCHES_WAITING, &engine).set(number(batches_waiting));
        metrics::gauge!(WAITING, &engine).set(number(pieces_waiting));
        metrics::counter!(PACKETS, &engine).absolute(packets);
        metrics::counter!(DECODED, &engine).absolute(decoded);
        metrics::counter!(CONCEALED, &engine).absolute(concealed);
        metrics::counter!(MALFORMED, &engine).absolute(malformed);
        metrics::counter!(PACKETS_LOST, &engine).absolute(packets_lost);
        metrics::counter!(DISTRUSTED, &engine).absolute(levels_distrusted);
        metrics::counter!(SO_FAR, &engine).absolute(so_far);
        metrics::counter!(PIECES, &engine).absolute(pieces);
        metrics::counter!(WORDLESS, &engine).absolute(wordless);
        metrics::counter!(SHED, &engine).absolute(shed);
    }
}
