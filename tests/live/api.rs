//! The REST door over real sockets: who may call what, what is refused and
//! how, and that nothing happens twice.

mod attendance;
mod bad_input;
mod binary;
mod camera_clocks;
mod camera_connections;
mod camera_recordings;
mod cameras;
mod channel;
mod channel_client;
mod channel_frames;
mod clock;
mod commands;
mod description;
mod door;
mod edge;
mod events;
mod live_viewing;
mod low_latency;
mod media;
mod media_tokens;
mod names;
mod once;
mod permissions;
mod person;
mod playback;
mod presence;
mod providers;
mod publishing;
mod record;
mod repeated;
mod room_cameras;
mod server;
mod services;
mod sessions;
mod storage;
mod streams;
mod transcript;
#[cfg(feature = "whisper")]
mod transcription;
mod undo;
mod uplinks;
mod vanished;
mod vault;
