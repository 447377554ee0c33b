//! The sentences of minutes in the languages of the platform.

use crate::domain::named_values::named_values;
use crate::history::minutes::Fact;
use crate::history::minutes::markdown::shown_moment;
use crate::room::event::QuorumState;

named_values!(
    /// A language of minutes.
    Language {
        /// Spanish.
        Spanish => "es",
        /// English.
        English => "en",
        /// Portuguese.
        Portuguese => "pt",
    }
);

/// The headings and fixed sentences of minutes.
pub(super) struct Headings {
    pub(super) draft: &'static str,
    pub(super) title: &'static str,
    pub(super) session: &'static str,
    pub(super) assembly: &'static str,
    pub(super) modality: &'static str,
    pub(super) started: &'static str,
    pub(super) ended: &'static str,
    pub(super) not_yet: &'static str,
    pub(super) times: &'static str,
    pub(super) presiding: &'static str,
    pub(super) attendance: &'static str,
    pub(super) quorum: &'static str,
    pub(super) proceedings: &'static str,
    pub(super) incidents: &'static str,
    pub(super) signatures: &'static str,
    pub(super) chair: &'static str,
    pub(super) secretary: &'static str,
    pub(super) record: &'static str,
    pub(super) nothing: &'static str,
    pub(super) not_transcribed: &'static str,
    pub(super) recognised: &'static str,
    pub(super) root: &'static str,
    pub(super) entries: &'static str,
    pub(super) signed_at: &'static str,
    pub(super) verify: &'static str,
    pub(super) no_head: &'static str,
    pub(super) page: &'static str,
    pub(super) letters: &'static str,
}

const SPANISH: Headings = Headings {
    draft: "Borrador: no es el acta hasta que la presidencia lo revise y confirme.",
    title: "Acta",
    session: "Sesión",
    assembly: "Asamblea",
    modality: "Modalidad",
    started: "Comenzó",
    ended: "Terminó",
    not_yet: "aún no",
    times: "Todas las horas son UTC.",
    presiding: "Presidencia",
    attendance: "Asistencia",
    quorum: "Quórum",
    proceedings: "Desarrollo",
    incidents: "Incidencias",
    signatures: "Firmas",
    chair: "Presidencia",
    secretary: "Secretaría",
    record: "Registro",
    nothing: "Nada consta.",
    not_transcribed: "La sesión no se transcribió: el texto de lo que se dijo no consta.",
    recognised: "El texto fue reconocido por una máquina; «corregido» marca lo que la presidencia corrigió.",
    root: "Raíz del registro",
    entries: "Entradas",
    signed_at: "Firmada",
    verify: "Se comprueba en",
    no_head: "El registro aún no tiene una raíz firmada.",
    page: "Página {page} de {pages}",
    letters: "El texto está también en el archivo adjunto minutes.md. Un carácter que la letra impresa no tiene aparece como su número Unicode, por ejemplo [U+5F20].",
};

const ENGLISH: Headings = Headings {
    draft: "Draft: these are not the minutes until the chair has reviewed and confirmed them.",
    title: "Minutes",
    session: "Session",
    assembly: "Assembly",
    modality: "Modality",
    started: "Started",
    ended: "Ended",
    not_yet: "not yet",
    times: "All times are UTC.",
    presiding: "Presiding",
    attendance: "Attendance",
    quorum: "Quorum",
    proceedings: "Proceedings",
    incidents: "Incidents",
    signatures: "Signatures",
    chair: "Chair",
    secretary: "Secretary",
    record: "Record",
    nothing: "Nothing is on record.",
    not_transcribed: "The session was not transcribed: the text of what was said is not on record.",
    recognised: "The text was recognised by a machine; “corrected” marks what the chair corrected.",
    root: "Root of the log",
    entries: "Entries",
    signed_at: "Signed",
    verify: "It can be checked at",
    no_head: "The log has no signed root yet.",
    page: "Page {page} of {pages}",
    letters: "The text is also in the attached file minutes.md. A character that the printed font does not have appears as its Unicode number, such as [U+5F20].",
};

const PORTUGUESE: Headings = Headings {
    draft: "Rascunho: não é a ata até que a presidência o reveja e confirme.",
    title: "Ata",
    session: "Sessão",
    assembly: "Assembleia",
    modality: "Modalidade",
    started: "Começou",
    ended: "Terminou",
    not_yet: "ainda não",
    times: "Todas as horas são UTC.",
    presiding: "Presidência",
    attendance: "Presenças",
    quorum: "Quórum",
    proceedings: "Desenvolvimento",
    incidents: "Incidentes",
    signatures: "Assinaturas",
    chair: "Presidência",
    secretary: "Secretaria",
    record: "Registro",
    nothing: "Nada consta.",
    not_transcribed: "A sessão não foi transcrita: o texto do que foi dito não consta.",
    recognised: "O texto foi reconhecido por uma máquina; «corrigido» marca o que a presidência corrigiu.",
    root: "Raiz do registro",
    entries: "Entradas",
    signed_at: "Assinada",
    verify: "Comprova-se em",
    no_head: "O registro ainda não tem uma raiz assinada.",
    page: "Página {page} de {pages}",
    letters: "O texto está também no arquivo anexo minutes.md. Um caractere que a letra impressa não tem aparece como seu número Unicode, por exemplo [U+5F20].",
};

impl Language {
    pub(super) const fn headings(self) -> &'static Headings {
        match self {
            Self::Spanish => &SPANISH,
            Self::English => &ENGLISH,
            Self::Portuguese => &PORTUGUESE,
        }
    }

    const fn of(self, [spanish, english, portuguese]: [&'static str; 3]) -> &'static str {
        match self {
            Self::Spanish => spanish,
            Self::English => english,
            Self::Portuguese => portuguese,
        }
    }

    pub(in crate::history) fn modality(self, modality: &str) -> &'static str {
        self.of(match modality {
            "virtual" => ["virtual", "virtual", "virtual"],
            "in_person" => ["presencial", "in person", "presencial"],
            _ => ["mixta", "mixed", "mista"],
        })
    }

    fn kind(self, kind: &str) -> &'static str {
        self.of(match kind {
            "point_of_order" => ["cuestión de orden", "point of order", "questão de ordem"],
            "interposed_question" => {
                ["pregunta interpuesta", "interposed question", "pergunta interposta"]
            }
            "intervention" => ["intervención", "intervention", "intervenção"],
            _ => ["turno ordinario", "ordinary turn", "turno ordinário"],
        })
    }

    pub(in crate::history) fn place(self, place: &str) -> &'static str {
        self.of(match place {
            "hall" => ["en la sala", "in the hall", "na sala"],
            _ => ["a distancia", "remotely", "à distância"],
        })
    }

    pub(in crate::history) fn method(self, method: &str) -> &'static str {
        self.of(match method {
            "qr" => ["código QR", "QR code", "código QR"],
            "biometric" => ["biometría", "biometrics", "biometria"],
            "code" => ["código", "code", "código"],
            "manual" => ["registro manual", "manual registration", "registro manual"],
            _ => ["conexión a la sala", "connection to the room", "conexão à sala"],
        })
    }

    fn recording(self, state: &str) -> &'static str {
        self.of(match state {
            "recording" => [
                "Comenzó o continuó la grabación.",
                "The recording started or went on.",
                "A gravação começou ou continuou.",
            ],
            "paused" => {
                ["Se pausó la grabación.", "The recording was paused.", "A gravação foi pausada."]
            }
            _ => {
                ["Se detuvo la grabación.", "The recording was stopped.", "A gravação foi parada."]
            }
        })
    }

    const fn live_viewing(self, is_on: bool) -> &'static str {
        self.of(if is_on {
            [
                "Desde entonces, quien tuviera un enlace podía ver y oír la sesión desde fuera.",
                "From then on, whoever had a link could see and hear the session from outside.",
                "A partir de então, quem tivesse um link podia ver e ouvir a sessão de fora.",
            ]
        } else {
            [
                "Desde entonces, la sesión ya no se podía ver desde fuera.",
                "From then on, the session could no longer be watched from outside.",
                "A partir de então, a sessão já não podia ser vista de fora.",
            ]
        })
    }

    fn quorum(self, state: &QuorumState) -> String {
        let weights = [state.weight_present.as_str(), &state.weight_total];
        self.counted([state.heads_present, state.heads_total], weights)
    }

    /// How many are present, of how many, and their weight, of how much.
    pub(in crate::history) fn counted(
        self,
        [heads, members]: [u32; 2],
        [weight, total]: [&str; 2],
    ) -> String {
        let numbers = [
            ("{heads}", heads.to_string()),
            ("{members}", members.to_string()),
            ("{weight}", weight.to_owned()),
            ("{total}", total.to_owned()),
        ];
        let template = self.of([
            "{heads} de {members} miembros presentes o representados, con {weight} de {total} de peso",
            "{heads} of {members} members present or represented, with {weight} of {total} of the weight",
            "{heads} de {members} membros presentes ou representados, com {weight} de {total} de peso",
        ]);
        filled(template, &numbers)
    }

    /// A fact as a sentence. `shown` prepares what people wrote for the document.
    pub(super) fn sentence(self, fact: &Fact, shown: impl Fn(&str) -> String) -> String {
        let parts = self
            .of_presence(fact, &shown)
            .or_else(|| Self::of_list(fact, &shown))
            .or_else(|| Self::of_representation(fact, &shown))
            .or_else(|| self.of_speech(fact, &shown))
            .or_else(|| of_moderator(fact, &shown));
        match (parts, fact) {
            (Some(Sentence { templates, values }), _) => filled(self.of(templates), &values),
            (None, Fact::Counted(state)) => format!("{}.", self.quorum(state)),
            (None, Fact::Quorum(state)) => {
                let reached = self.of(if state.reached {
                    ["Se alcanzó el quórum", "The quorum was reached", "O quórum foi atingido"]
                } else {
                    ["Se perdió el quórum", "The quorum was lost", "O quórum foi perdido"]
                });
                format!("{reached}: {}.", self.quorum(state))
            }
            (None, Fact::Recording { state }) => self.recording(state).to_owned(),
            (None, Fact::LiveViewing { is_on }) => self.live_viewing(*is_on).to_owned(),
            // Every other fact has parts.
            (None, _) => String::new(),
        }
    }

    /// Who is listed otherwise than before.
    fn of_list(fact: &Fact, shown: &impl Fn(&str) -> String) -> Option<Sentence> {
        let Fact::ListCorrected { name, formerly, weight } = fact else { return None };
        let sentence = match formerly {
            None => Sentence::of([
                "Se corrigió la lista de quienes pueden asistir: {name}, con un peso de {weight}.",
                "The list of those who may attend was corrected: {name}, with a weight of {weight}.",
                "A lista de quem pode participar foi corrigida: {name}, com peso de {weight}.",
            ]),
            Some(formerly) => Sentence::of([
                "Se corrigió la lista de quienes pueden asistir: {name} (antes {formerly}), con un peso de {weight}.",
                "The list of those who may attend was corrected: {name} (formerly {formerly}), with a weight of {weight}.",
                "A lista de quem pode participar foi corrigida: {name} (antes {formerly}), com peso de {weight}.",
            ])
            .with("{formerly}", shown(formerly)),
        };
        Some(sentence.with("{name}", shown(name)).with("{weight}", shown(weight)))
    }

    /// Who represented a unit of somebody else.
    fn of_representation(fact: &Fact, shown: &impl Fn(&str) -> String) -> Option<Sentence> {
        let (templates, name, unit) = match fact {
            Fact::Represents { name, unit } => (
                [
                    "{name} representa la unidad {unit}.",
                    "{name} represents the unit {unit}.",
                    "{name} representa a unidade {unit}.",
                ],
                name,
                unit,
            ),
            Fact::RepresentsNoMore { name, unit } => (
                [
                    "{name} deja de representar la unidad {unit}.",
                    "{name} no longer represents the unit {unit}.",
                    "{name} deixa de representar a unidade {unit}.",
                ],
                name,
                unit,
            ),
            _ => return None,
        };
        Some(Sentence::of(templates).with("{name}", shown(name)).with("{unit}", shown(unit)))
    }

    /// Who came and went.
    fn of_presence(self, fact: &Fact, shown: &impl Fn(&str) -> String) -> Option<Sentence> {
        let (templates, name) = match fact {
            Fact::Presided { name, to: Some(to) } => {
                let templates = [
                    "{name} presidió hasta {to}.",
                    "{name} presided until {to}.",
                    "{name} presidiu até {to}.",
                ];
                let sentence = Sentence::of(templates).with("{name}", shown(name));
                return Some(sentence.with("{to}", shown_moment(*to)));
            }
            Fact::Presided { name, to: None } => {
                (["{name} preside.", "{name} presides.", "{name} preside."], name)
            }
            Fact::ModeratorEntered { name } => (
                [
                    "{name} entró para moderar.",
                    "{name} entered to moderate.",
                    "{name} entrou para moderar.",
                ],
                name,
            ),
            Fact::ModeratorLeft { name } => (
                [
                    "{name}, que moderaba, salió.",
                    "{name}, who moderated, left.",
                    "{name}, que moderava, saiu.",
                ],
                name,
            ),
            Fact::Absent { name } => (
                [
                    "{name} ya no está presente.",
                    "{name} is no longer present.",
                    "{name} já não está presente.",
                ],
                name,
            ),
            Fact::Present { name, method, place, weight } => {
                let templates = [
                    "{name} está presente {place} ({method}), con un peso de {weight}.",
                    "{name} is present {place} ({method}), with a weight of {weight}.",
                    "{name} está presente {place} ({method}), com peso de {weight}.",
                ];
                let sentence = Sentence::of(templates)
                    .with("{name}", shown(name))
                    .with("{place}", self.place(place).to_owned())
                    .with("{method}", self.method(method).to_owned())
                    .with("{weight}", shown(weight));
                return Some(sentence);
            }
            _ => return None,
        };
        Some(Sentence::of(templates).with("{name}", shown(name)))
    }

    /// Turns, and what was said.
    fn of_speech(self, fact: &Fact, shown: &impl Fn(&str) -> String) -> Option<Sentence> {
        Some(match fact {
            Fact::TurnStarted { name, kind } => Sentence::of([
                "**{name}** tiene la palabra ({kind}).",
                "**{name}** has the floor ({kind}).",
                "**{name}** tem a palavra ({kind}).",
            ])
            .with("{name}", shown(name))
            .with("{kind}", self.kind(kind).to_owned()),
            Fact::TurnEnded { name, is_undone: true, .. } => Sentence::of([
                "Se revocó el turno de {name}.",
                "The turn of {name} was taken back.",
                "O turno de {name} foi revogado.",
            ])
            .with("{name}", shown(name)),
            Fact::TurnEnded { name, used_s, is_undone: false } => Sentence::of([
                "Terminó el turno de {name}, que usó {s} s.",
                "The turn of {name} ended after {s} s.",
                "Terminou o turno de {name}, que usou {s} s.",
            ])
            .with("{name}", shown(name))
            .with("{s}", used_s.to_string()),
            Fact::Spoke { name, text, is_corrected } => Sentence::of(if *is_corrected {
                [
                    "{name}: {text} *(corregido)*",
                    "{name}: {text} *(corrected)*",
                    "{name}: {text} *(corrigido)*",
                ]
            } else {
                ["{name}: {text}"; 3]
            })
            .with("{name}", shown(name))
            .with("{text}", shown(text)),
            Fact::NotTranscribed { name, to } => Sentence::of([
                "{name} habló hasta {to} y no hay texto.",
                "{name} spoke until {to}, and there is no text.",
                "{name} falou até {to} e não há texto.",
            ])
            .with("{name}", shown(name))
            .with("{to}", to.to_string()),
            Fact::Vote { title } => Sentence::of([
                "Se anunció la votación: {title}.",
                "A vote was announced: {title}.",
                "Foi anunciada a votação: {title}.",
            ])
            .with("{title}", shown(title)),
            Fact::ClockSet { by_ms } => Sentence::of([
                "El reloj del servidor se ajustó en {ms} ms; las horas de esta acta no cambian.",
                "The clock of the server was set by {ms} ms; the times of these minutes do not change.",
                "O relógio do servidor foi ajustado em {ms} ms; as horas desta ata não mudam.",
            ])
            .with("{ms}", by_ms.to_string()),
            _ => return None,
        })
    }
}

/// What moderators decided, and who was not let in.
fn of_moderator(fact: &Fact, shown: &impl Fn(&str) -> String) -> Option<Sentence> {
    let (templates, by) = match fact {
        Fact::Undone { by } => (
            [
                "{by} revocó una decisión.",
                "{by} took a decision back.",
                "{by} revogou uma decisão.",
            ],
            by,
        ),
        Fact::Moderation { mode, by } if mode == "open" => (
            [
                "{by} abrió los micrófonos de todos.",
                "{by} let everybody be heard.",
                "{by} abriu os microfones de todos.",
            ],
            by,
        ),
        Fact::Moderation { by, .. } => (
            [
                "{by} dispuso que solo se oiga a quien tiene la palabra.",
                "{by} had only those heard who have the floor.",
                "{by} determinou que só se ouça quem tem a palavra.",
            ],
            by,
        ),
        Fact::Muted { by, .. } => {
            (["{by} silenció a {name}.", "{by} muted {name}.", "{by} silenciou {name}."], by)
        }
        Fact::Unmuted { by, .. } => (
            [
                "{by} dejó de silenciar a {name}.",
                "{by} lifted the mute of {name}.",
                "{by} deixou de silenciar {name}.",
            ],
            by,
        ),
        Fact::PicturesStopped { by, .. } => (
            [
                "{by} cortó la imagen de {name}.",
                "{by} stopped the pictures of {name}.",
                "{by} cortou a imagem de {name}.",
            ],
            by,
        ),
        Fact::PicturesAllowed { by, .. } => (
            [
                "{by} volvió a permitir la imagen de {name}.",
                "{by} allowed the pictures of {name} again.",
                "{by} voltou a permitir a imagem de {name}.",
            ],
            by,
        ),
        other => return of_refusal(other, shown),
    };
    let sentence = Sentence::of(templates).with("{by}", shown(by));
    Some(match fact {
        Fact::Muted { name, .. }
        | Fact::Unmuted { name, .. }
        | Fact::PicturesStopped { name, .. }
        | Fact::PicturesAllowed { name, .. } => sentence.with("{name}", shown(name)),
        _ => sentence,
    })
}

/// What somebody was refused.
fn of_refusal(fact: &Fact, shown: &impl Fn(&str) -> String) -> Option<Sentence> {
    Some(match fact {
        Fact::Denied { name, reason: Some(reason) } => Sentence::of([
            "Se negó la palabra a {name}: {reason}.",
            "{name} was refused the floor: {reason}.",
            "Foi negada a palavra a {name}: {reason}.",
        ])
        .with("{name}", shown(name))
        .with("{reason}", shown(reason)),
        Fact::Denied { name, reason: None } => Sentence::of([
            "Se negó la palabra a {name}.",
            "{name} was refused the floor.",
            "Foi negada a palavra a {name}.",
        ])
        .with("{name}", shown(name)),
        Fact::Removed { name } => Sentence::of([
            "{name} fue expulsado de la sala.",
            "{name} was sent out of the room.",
            "{name} foi retirado da sala.",
        ])
        .with("{name}", shown(name)),
        Fact::Refused { name, code } => Sentence::of([
            "No se admitió a {name} ({code}).",
            "{name} was not admitted ({code}).",
            "{name} não foi admitido ({code}).",
        ])
        .with("{name}", shown(name))
        .with("{code}", shown(code)),
        _ => return None,
    })
}

/// A sentence in every language, and what is put into it.
struct Sentence {
    templates: [&'static str; 3],
    values: Vec<(&'static str, String)>,
}

impl Sentence {
    const fn of(templates: [&'static str; 3]) -> Self {
        Self { templates, values: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: String) -> Self {
        self.values.push((name, value));
        self
    }
}

/// A template with its values. A value is put in as it is, whatever it contains.
fn filled(template: &str, values: &[(&str, String)]) -> String {
    let mut out = String::with_capacity(template.len() + 64);
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        let (before, at) = rest.split_at(open);
        out.push_str(before);
        let found = values.iter().find(|(name, _)| at.starts_with(name));
        let (value, length) = found.map_or(("{", 1), |(name, value)| (value.as_str(), name.len()));
        out.push_str(value);
        rest = at.get(length..).unwrap_or_default();
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_people_write_is_no_template() {
        let values = [("{name}", "{by}".to_owned()), ("{by}", "Ana".to_owned())];
        assert_eq!(filled("{by} muted {name}. {x}", &values), "Ana muted {by}. {x}");
    }
}
