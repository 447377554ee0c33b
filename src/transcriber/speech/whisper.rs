//! Recognition in this process by whisper.cpp. One set of weights is shared by all workers; every
//! worker has a state of its own, of about 150 MB for the small models, and uses one thread.

use std::collections::BTreeMap;
use std::os::fd::AsRawFd as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Once};

use whisper_rs::{
    FullParams, SamplingStrategy, WhisperContext, WhisperContextParameters, WhisperState,
};

use super::model::{self, ModelError, ModelFacts};
use super::text::loops;
use super::{Heard, Recogniser, Speech, SpeechEngine, SpeechError, primary_subtag};
use crate::domain::language::LanguageTag;
use crate::transcriber::engine::{SAMPLE_RATE_HZ, WORDS_BYTES_MAX};

/// Least sound that is given to whisper.cpp, in samples: it ignores less than 100 ms, and does
/// badly on less than a second.
const SAMPLES_MIN: usize = 17_600;
/// Positions of sound for a second of it, those that are added, and the least and the most. They
/// decide what recognition costs.
const CONTEXT_PER_S: usize = 50;
const CONTEXT_MORE: usize = 96;
const CONTEXT_MIN: usize = 256;
const CONTEXT_MAX: usize = 1_500;
/// Positions with which a text that repeats itself is tried once more.
const CONTEXT_RETRY: usize = 768;
/// Tokens for a second of sound, and those that are added: nobody speaks faster.
const TOKENS_PER_S: usize = 8;
const TOKENS_MORE: usize = 8;
/// Most tokens of the words that are likely to be said. With more of them before the speech, models
/// repeat themselves more often.
const WORDS_TOKENS_MAX: usize = 64;
/// Text whose tokens have a lower average log-probability is an invention: noise, or another
/// language.
const LOG_PROBABILITY_MIN: f32 = -1.0;
/// The probability of silence that whisper.cpp computes can't be used: it reads a row that is not
/// the first token's. With this threshold it does nothing.
const NO_SPEECH_OFF: f32 = 2.0;
/// Languages whose parameters a worker keeps: there are 100.
const LANGUAGES_MAX: usize = 128;

/// What it runs on, by how this program was built.
pub const DEVICE: &str = if cfg!(feature = "cuda") {
    "GPU (CUDA), else CPU"
} else if cfg!(feature = "vulkan") {
    "GPU (Vulkan), else CPU"
} else {
    "CPU"
};

/// A model that was loaded.
#[derive(Debug)]
pub struct Whisper {
    context: Arc<WhisperContext>,
    facts: ModelFacts,
    name: String,
}

impl Whisper {
    /// Loads a model. Its file may be replaced afterwards.
    ///
    /// # Errors
    /// [`ModelError`] when the file is none.
    pub fn load(path: &Path) -> Result<Self, ModelError> {
        silence();
        let (file, facts) = model::open(path)?;
        // The file that was looked at, whatever its name means by now.
        let same = PathBuf::from(format!("/proc/self/fd/{}", file.as_raw_fd()));
        let mut parameters = WhisperContextParameters::default();
        parameters.use_gpu(cfg!(any(feature = "cuda", feature = "vulkan"))).flash_attn(false);
        let context = WhisperContext::new_with_params(&same, parameters)
            .map_err(|error| ModelError::NotLoaded(error.to_string()))?;
        let stem = path.file_stem().unwrap_or_default().to_string_lossy();
        Ok(Self { context: Arc::new(context), facts, name: format!("whisper {stem}") })
    }

    /// What the model is.
    #[must_use]
    pub const fn facts(&self) -> &ModelFacts {
        &self.facts
    }
}

impl SpeechEngine for Whisper {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn languages(&self) -> Vec<LanguageTag> {
        // A model has the first languages of whisper's table, which begins with English.
        let names = (0..self.facts.languages).filter_map(|number| {
            whisper_rs::get_lang_str(i32::try_from(number).ok()?)?.parse().ok()
        });
        names.collect()
    }

    fn is_free_of_charge(&self) -> bool {
        true
    }

    fn recogniser(&self) -> Result<Box<dyn Recogniser>, SpeechError> {
        let state = self
            .context
            .create_state()
            .map_err(|error| SpeechError::Unavailable(error.to_string()))?;
        Ok(Box::new(Listening {
            state,
            weights: Arc::clone(&self.context),
            words: (String::new(), Vec::new()),
            // Every token below this one is a part of a word.
            specials: self.context.token_eot(),
            is_multilingual: self.facts.is_multilingual(),
            name: self.name.clone(),
            parameters: BTreeMap::new(),
        }))
    }
}

/// Has whisper.cpp write nothing to the standard error: at its lowest level it writes what was
/// said.
fn silence() {
    static ONCE: Once = Once::new();
    ONCE.call_once(whisper_rs::install_logging_hooks);
}

/// The state of one worker.
struct Listening {
    state: WhisperState,
    weights: Arc<WhisperContext>,
    /// The words that were told last, and their tokens.
    words: (String, Vec<i32>),
    specials: i32,
    is_multilingual: bool,
    name: String,
    /// By language. whisper-rs does not free the language of parameters, so they are kept.
    parameters: BTreeMap<String, FullParams<'static, 'static>>,
}

/// What whisper.cpp made of a piece.
struct Attempt {
    text: String,
    probability: f32,
    log_probability: f32,
}

impl Recogniser for Listening {
    fn recognise(&mut self, speech: Speech<'_>) -> Result<Heard, SpeechError> {
        let language = self.language(speech.language)?;
        let mut samples = speech.samples.to_vec();
        samples.resize(samples.len().max(SAMPLES_MIN), 0.0);
        let rate = SAMPLE_RATE_HZ as usize;
        let context =
            (CONTEXT_PER_S * samples.len() / rate + CONTEXT_MORE).clamp(CONTEXT_MIN, CONTEXT_MAX);
        self.tell_words(speech.words.unwrap_or_default());
        let mut attempt = self.attempt(&samples, &language, context)?;
        if loops(&attempt.text) && (context < CONTEXT_RETRY || !self.words.1.is_empty()) {
            // Words before the speech make loops more likely.
            self.tell_words("");
            attempt = self.attempt(&samples, &language, context.max(CONTEXT_RETRY))?;
        }
        if loops(&attempt.text) {
            return Err(SpeechError::Failed("the model repeats itself".to_owned()));
        }
        if attempt.log_probability < LOG_PROBABILITY_MIN {
            attempt.text.clear();
        }
        let asked = speech.language.filter(|_| !language.is_empty());
        let spoken = whisper_rs::get_lang_str(self.state.full_lang_id_from_state());
        Ok(Heard {
            text: attempt.text,
            confidence: attempt.probability.clamp(0.0, 1.0),
            // The tag that was asked for says more than whisper's, if whisper knows it.
            language: asked.or(spoken).unwrap_or("und").to_owned(),
            engine: self.name.clone(),
        })
    }
}

impl Listening {
    /// The language as whisper.cpp names it; empty when it is to be recognised.
    fn language(&self, wanted: Option<&str>) -> Result<String, SpeechError> {
        let subtag = wanted.map(primary_subtag).unwrap_or_default();
        if !self.is_multilingual {
            return if subtag.is_empty() || subtag == "en" {
                Ok("en".to_owned())
            } else {
                Err(SpeechError::Unavailable("the model knows English only".to_owned()))
            };
        }
        let is_known = subtag.bytes().all(|byte| byte.is_ascii_alphabetic())
            && whisper_rs::get_lang_id(&subtag).is_some();
        Ok(if is_known { subtag } else { String::new() })
    }

    /// Has the next attempts expect these words, or as many of the first as it may have.
    fn tell_words(&mut self, words: &str) {
        if self.words.0 != words {
            let tokens = words_tokens(&self.weights, words);
            self.words = (words.to_owned(), tokens);
        }
    }

    fn attempt(
        &mut self,
        samples: &[f32],
        language: &str,
        context: usize,
    ) -> Result<Attempt, SpeechError> {
        if self.parameters.len() >= LANGUAGES_MAX {
            self.parameters.clear();
        }
        let mut parameters: FullParams<'_, '_> = self
            .parameters
            .entry(language.to_owned())
            .or_insert_with_key(|language| parameters(language))
            .clone();
        let seconds = samples.len() / SAMPLE_RATE_HZ as usize + 1;
        let number = |value: usize| i32::try_from(value).unwrap_or(i32::MAX);
        parameters.set_audio_ctx(number(context));
        parameters.set_max_tokens(number(TOKENS_PER_S * seconds + TOKENS_MORE));
        parameters.set_tokens(&self.words.1);
        self.state
            .full(parameters, samples)
            .map_err(|error| SpeechError::Failed(error.to_string()))?;
        Ok(self.read())
    }

    fn read(&self) -> Attempt {
        let (mut text, mut tokens) = (Vec::new(), 0_u16);
        let (mut probability, mut log_probability) = (0.0, 0.0);
        for segment in self.state.as_iter() {
            text.extend_from_slice(segment.to_bytes().unwrap_or_default());
            for number in 0..segment.n_tokens() {
                let token = segment.get_token(number);
                let Some(token) = token.filter(|token| token.token_id() < self.specials) else {
                    continue;
                };
                let data = token.token_data();
                tokens = tokens.saturating_add(1);
                probability += data.p;
                log_probability += data.plog;
            }
        }
        let count = f32::from(tokens.max(1));
        // A character may have been cut where the tokens ended.
        let text = String::from_utf8_lossy(&text);
        let text = text.trim_matches(|it: char| it.is_whitespace() || it == '\u{FFFD}');
        Attempt {
            text: text.to_owned(),
            probability: probability / count,
            log_probability: log_probability / count,
        }
    }
}

/// The tokens of words with commas between them, of as many whole words as are allowed.
fn words_tokens(weights: &WhisperContext, words: &str) -> Vec<i32> {
    let mut rest = words;
    while !rest.is_empty() {
        // whisper.cpp's tokeniser needs more stack for longer words than a thread has.
        if rest.len() <= WORDS_BYTES_MAX {
            let text = format!(" {rest}.");
            // A token is at least a byte: with less room than needed whisper-rs is not sound.
            let tokens = weights.tokenize(&text, text.len() + 1).unwrap_or_default();
            if tokens.len() <= WORDS_TOKENS_MAX {
                return tokens;
            }
        }
        rest = rest.rsplit_once(", ").map_or("", |(before, _)| before);
    }
    Vec::new()
}

/// The parameters that all pieces of a language have in common.
fn parameters(language: &str) -> FullParams<'static, 'static> {
    let mut parameters = FullParams::new(SamplingStrategy::Greedy { best_of: 1 });
    // whisper-rs copies the text.
    parameters.set_language((!language.is_empty()).then(|| language_of(language)));
    parameters.set_n_threads(1);
    parameters.set_translate(false);
    parameters.set_no_context(true);
    parameters.set_single_segment(true);
    parameters.set_no_timestamps(true);
    parameters.set_suppress_nst(true);
    parameters.set_temperature(0.0);
    parameters.set_temperature_inc(0.0);
    parameters.set_no_speech_thold(NO_SPEECH_OFF);
    parameters.set_print_special(false);
    parameters.set_print_progress(false);
    parameters.set_print_realtime(false);
    parameters.set_print_timestamps(false);
    parameters
}

/// The name of a known language, which lives as long as the program.
fn language_of(language: &str) -> &'static str {
    let known = whisper_rs::get_lang_id(language).and_then(whisper_rs::get_lang_str);
    known.unwrap_or("en")
}
