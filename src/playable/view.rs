//! Writes a scene as ffmpeg filters. Pictures keep their aspect ratio and are never enlarged beyond
//! their cell; a track that changes its size is scaled for each frame.

use std::fmt::Write as _;
use std::path::Path;

use crate::playable::scenes::View;

/// Width of the canvas, in pixels.
pub(super) const WIDTH: u32 = 1_280;
/// Height of the canvas, in pixels.
pub(super) const HEIGHT: u32 = 720;
/// Pictures per second.
pub(super) const FRAME_RATE: u64 = 25;
/// Colour behind the pictures.
const BACKGROUND: &str = "0x14181c";
/// Size of the speaker's picture beside a shared screen.
const SMALL: (u32, u32) = (320, 180);
/// Margin around the small picture and the name, in pixels.
const MARGIN: u32 = 24;
/// Most characters of a name that are drawn.
const NAME_CHARACTERS_MAX: usize = 60;

/// A rectangle on the canvas.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Cell {
    x: u32,
    y: u32,
    width: u32,
    height: u32,
}

/// The tracks that are shown, in the order of the inputs.
pub(super) fn shown(view: &View) -> Vec<usize> {
    match view {
        View::Grid(places) => places.clone(),
        View::Speaker { main, small } => [*main].into_iter().chain(*small).collect(),
    }
}

fn cells(view: &View) -> Vec<Cell> {
    match view {
        View::Speaker { small, .. } => {
            let main = Cell { x: 0, y: 0, width: WIDTH, height: HEIGHT };
            let (width, height) = SMALL;
            let (x, y) = (WIDTH - width - MARGIN, HEIGHT - height - MARGIN);
            let small = small.map(|_| Cell { x, y, width, height });
            [main].into_iter().chain(small).collect()
        }
        View::Grid(places) => {
            let count = u32::try_from(places.len()).unwrap_or(u32::MAX);
            let columns = (1..=count).find(|side| side * side >= count).unwrap_or(1);
            let rows = count.div_ceil(columns).max(1);
            let (width, height) = (WIDTH / columns, HEIGHT / rows);
            let cell = |n| Cell { x: n % columns * width, y: n / columns * height, width, height };
            (0..count).map(cell).collect()
        }
    }
}

/// The filters that draw a scene of this time, in milliseconds after the beginning of the meeting;
/// their output is `[out]`.
pub(super) fn script(
    view: &View,
    name: Option<&str>,
    font: Option<&Path>,
    from_ms: u64,
    to_ms: u64,
) -> String {
    let (from, to) = (seconds(from_ms), seconds(to_ms));
    let length = seconds(to_ms - from_ms);
    let mut script = format!(
        "color=c={BACKGROUND}:s={WIDTH}x{HEIGHT}:r={FRAME_RATE}:d={length},format=yuv420p[b0];\n"
    );
    let cells = cells(view);
    for (n, Cell { x, y, width, height }) in cells.iter().enumerate() {
        // The last picture stays when a track has no further one.
        let line = format!(
            "[{n}:v]fps={FRAME_RATE},tpad=stop=-1:stop_mode=clone,trim=start={from}:end={to},\
             setpts=PTS-{from}/TB,scale=w={width}:h={height}:\
             force_original_aspect_ratio=decrease:force_divisible_by=2:eval=frame,setsar=1,\
             format=yuv420p[v{n}];\n[b{n}][v{n}]overlay=x='{x}+({width}-w)/2':\
             y='{y}+({height}-h)/2':eof_action=repeat[b{}];\n",
            n + 1
        );
        script.push_str(&line);
    }
    let last = cells.len();
    let text = name.map(text_of).filter(|text| !text.is_empty());
    let drawn = match (text, font) {
        (Some(text), Some(font)) => {
            let font = escaped(&font.to_string_lossy());
            let text = escaped(&text);
            write!(
                script,
                "[b{last}]drawtext=fontfile={font}:text={text}:expansion=none:fontcolor=white:\
                 fontsize=30:box=1:boxcolor=black@0.6:boxborderw=12:x={}:y=h-text_h-{}[out]",
                MARGIN + 12,
                MARGIN + 12
            )
        }
        _ => write!(script, "[b{last}]null[out]"),
    };
    drawn.expect("a string takes all");
    script
}

fn seconds(ms: u64) -> String {
    format!("{}.{:03}", ms / 1_000, ms % 1_000)
}

/// The text that is drawn for a name.
fn text_of(name: &str) -> String {
    let printable = name.chars().filter(|character| !character.is_control());
    printable.take(NAME_CHARACTERS_MAX).collect::<String>().trim().to_owned()
}

/// Escapes a value twice: for the filter option and for the filter graph.
fn escaped(value: &str) -> String {
    let once = |text: &str, special: &[char]| {
        text.chars().fold(String::new(), |mut text, character| {
            if special.contains(&character) {
                text.push('\\');
            }
            text.push(character);
            text
        })
    };
    once(&once(value, &['\\', '\'', ':']), &['\\', '\'', '[', ']', ',', ';'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_grid_fills_the_canvas_without_overlap() {
        for count in 1..=9 {
            let cells = cells(&View::Grid((0..count).collect()));
            assert_eq!(cells.len(), count);
            for (n, a) in cells.iter().enumerate() {
                assert!(a.x + a.width <= WIDTH && a.y + a.height <= HEIGHT, "{cells:?}");
                for b in &cells[..n] {
                    let apart = a.x >= b.x + b.width
                        || b.x >= a.x + a.width
                        || a.y >= b.y + b.height
                        || b.y >= a.y + a.height;
                    assert!(apart, "{cells:?}");
                }
            }
        }
    }

    #[test]
    fn a_name_can_say_nothing_but_itself() {
        let script = script(
            &View::Grid(Vec::new()),
            Some("O'Brien:[x];\\,\n%{pts}"),
            Some(Path::new("/f.ttf")),
            0,
            640,
        );
        let wanted = r"text=O\\\'Brien\\:\[x\]\;\\\\\,%{pts}:expansion=none";
        assert!(script.contains(wanted), "{script}");
    }
}
