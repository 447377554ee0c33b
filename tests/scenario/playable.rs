//! Playable files, made of real media that ffmpeg encodes and checked by
//! decoding them with ffmpeg.

mod combined;
mod files;
mod fixture;
mod media;
mod tracks;
