//! The list as a document, in the languages of the platform.

use crate::documents::{Attachment, Block, Document, Footer, Form, Span, Table};
use crate::domain::time::Timestamp;
use crate::history::Language;
use crate::history::attendance_list::{AttendanceList, AttendanceRow, QuorumAt, Representation};

/// The labels of a list in one language.
struct Labels {
    title: &'static str,
    session: &'static str,
    assembly: &'static str,
    modality: &'static str,
    started: &'static str,
    ended: &'static str,
    not_yet: &'static str,
    made: &'static str,
    times: &'static str,
    figures: &'static str,
    people: &'static str,
    present: &'static str,
    quorum: &'static str,
    no_quorum: &'static str,
    turns: &'static str,
    no_turns: &'static str,
    /// Moment, call, what happened, members, weight.
    turn_columns: [&'static str; 5],
    calls: [&'static str; 2],
    reached: &'static str,
    lost: &'static str,
    /// Whether there is a quorum.
    is_reached: &'static str,
    is_lost: &'static str,
    rows: &'static str,
    /// Number, name, id, units, weight, represented units, from, until, how, why it ended.
    columns: [&'static str; 10],
    causes: [&'static str; 5],
    never: &'static str,
    represented: &'static str,
    /// Unit, who represented it, their id, from, until.
    represented_columns: [&'static str; 5],
    by_list: &'static str,
    to_the_end: &'static str,
    data: &'static str,
    root: &'static str,
    entries: &'static str,
    log: &'static str,
    proof: &'static str,
    page: &'static str,
    attached: &'static str,
}

const SPANISH: Labels = Labels {
    title: "Lista de asistencia",
    session: "Sesión",
    assembly: "Asamblea",
    modality: "Modalidad",
    started: "Comenzó",
    ended: "Terminó",
    not_yet: "aún no",
    made: "Lista hecha",
    times: "Todas las horas son UTC.",
    figures: "Cifras",
    people: "Personas que estuvieron presentes",
    present: "Presentes al final, o ahora si la sesión sigue",
    quorum: "Quórum según el último recuento",
    no_quorum: "no se contó",
    turns: "Quórum alcanzado y perdido",
    no_turns: "El quórum no se alcanzó ni se perdió.",
    turn_columns: ["Momento", "Convocatoria", "Qué ocurrió", "Miembros", "Peso"],
    calls: ["primera", "segunda"],
    reached: "se alcanzó",
    lost: "se perdió",
    is_reached: "hay quórum",
    is_lost: "no hay quórum",
    rows: "Asistentes",
    columns: [
        "N.º",
        "Nombre",
        "Identificador",
        "Unidades",
        "Peso",
        "Representa",
        "Desde",
        "Hasta",
        "Cómo consta",
        "Por qué terminó",
    ],
    causes: [
        "marcada su salida",
        "registro revocado",
        "se desconectó",
        "faltó una prueba",
        "terminó la sesión",
    ],
    never: "no llegó a estar presente",
    represented: "Unidades representadas por otra persona",
    represented_columns: ["Unidad", "La representó", "Identificador", "Desde", "Hasta"],
    by_list: "según la lista",
    to_the_end: "hasta el final o ahora",
    data: "Este documento contiene los mismos datos en el archivo adjunto attendance.json. «cabildo verify --attendance» los compara con el registro de la sesión. Un carácter que la letra impresa no tiene aparece como su número Unicode, por ejemplo [U+5F20]; el archivo adjunto lo tiene tal cual.",
    root: "Raíz del registro",
    entries: "entradas",
    log: "Registro",
    proof: "Prueba pública",
    page: "Página {page} de {pages}",
    attached: "Los datos de la lista de asistencia",
};

const ENGLISH: Labels = Labels {
    title: "Attendance list",
    session: "Session",
    assembly: "Assembly",
    modality: "Modality",
    started: "Started",
    ended: "Ended",
    not_yet: "not yet",
    made: "List made",
    times: "All times are UTC.",
    figures: "Figures",
    people: "People who were present",
    present: "Present at the end, or now if the session goes on",
    quorum: "Quorum as counted last",
    no_quorum: "not counted",
    turns: "Quorum reached and lost",
    no_turns: "The quorum was neither reached nor lost.",
    turn_columns: ["Moment", "Call", "What happened", "Members", "Weight"],
    calls: ["first", "second"],
    reached: "reached",
    lost: "lost",
    is_reached: "there is a quorum",
    is_lost: "there is no quorum",
    rows: "Attendees",
    columns: [
        "No.",
        "Name",
        "Identifier",
        "Units",
        "Weight",
        "Represents",
        "From",
        "Until",
        "How it is known",
        "Why it ended",
    ],
    causes: [
        "marked as left",
        "registration taken back",
        "disconnected",
        "a proof was missing",
        "the session ended",
    ],
    never: "never became present",
    represented: "Units that somebody else represented",
    represented_columns: ["Unit", "Represented by", "Identifier", "From", "Until"],
    by_list: "by the list",
    to_the_end: "to the end, or now",
    data: "This document contains the same data in the attached file attendance.json. “cabildo verify --attendance” compares them with the log of the session. A character that the printed font does not have appears as its Unicode number, such as [U+5F20]; the attached file has it as it is.",
    root: "Root of the log",
    entries: "entries",
    log: "Log",
    proof: "Public proof",
    page: "Page {page} of {pages}",
    attached: "The data of the attendance list",
};

const PORTUGUESE: Labels = Labels {
    title: "Lista de presença",
    session: "Sessão",
    assembly: "Assembleia",
    modality: "Modalidade",
    started: "Começou",
    ended: "Terminou",
    not_yet: "ainda não",
    made: "Lista feita",
    times: "Todas as horas são UTC.",
    figures: "Números",
    people: "Pessoas que estiveram presentes",
    present: "Presentes no fim, ou agora se a sessão continua",
    quorum: "Quórum segundo a última contagem",
    no_quorum: "não foi contado",
    turns: "Quórum atingido e perdido",
    no_turns: "O quórum não foi atingido nem perdido.",
    turn_columns: ["Momento", "Convocação", "O que ocorreu", "Membros", "Peso"],
    calls: ["primeira", "segunda"],
    reached: "foi atingido",
    lost: "foi perdido",
    is_reached: "há quórum",
    is_lost: "não há quórum",
    rows: "Presentes",
    columns: [
        "N.º",
        "Nome",
        "Identificador",
        "Unidades",
        "Peso",
        "Representa",
        "Desde",
        "Até",
        "Como consta",
        "Por que terminou",
    ],
    causes: [
        "saída marcada",
        "registro revogado",
        "desconectou-se",
        "faltou uma prova",
        "a sessão terminou",
    ],
    never: "não chegou a estar presente",
    represented: "Unidades representadas por outra pessoa",
    represented_columns: ["Unidade", "Representada por", "Identificador", "Desde", "Até"],
    by_list: "segundo a lista",
    to_the_end: "até o fim, ou agora",
    data: "Este documento contém os mesmos dados no arquivo anexo attendance.json. «cabildo verify --attendance» os compara com o registro da sessão. Um caractere que a letra impressa não tem aparece como seu número Unicode, por exemplo [U+5F20]; o arquivo anexo o tem tal qual.",
    root: "Raiz do registro",
    entries: "entradas",
    log: "Registro",
    proof: "Prova pública",
    page: "Página {page} de {pages}",
    attached: "Os dados da lista de presença",
};

/// Relative widths of the columns.
const WIDTHS: [f32; 10] = [2.2, 10.0, 9.0, 6.0, 4.0, 6.0, 7.2, 7.2, 7.0, 6.5];

impl AttendanceList {
    /// The list as a document, with `json` embedded.
    #[must_use]
    pub fn document(&self, language: Language, made_at: Timestamp, json: Vec<u8>) -> Document {
        let labels = match language {
            Language::Spanish => &SPANISH,
            Language::English => &ENGLISH,
            Language::Portuguese => &PORTUGUESE,
        };
        let log = &self.log;
        Document {
            title: format!("{}: {}", labels.title, self.title),
            language: language.as_str(),
            made_at,
            id: format!("urn:uuid:{}#attendance", self.session),
            form: Form::Landscape,
            blocks: self.blocks(language, labels),
            footer: Footer {
                lines: vec![
                    format!("{}: {}", labels.root, log.root),
                    format!("{}: {} · {} {}", labels.log, log.id, log.tree_size, labels.entries),
                    format!("{}: {}", labels.proof, log.verify_at),
                ],
                page: labels.page,
                code: Some(log.verify_at.clone()),
            },
            attachment: Attachment {
                name: "attendance.json",
                media_type: "application/json",
                description: labels.attached.to_owned(),
                bytes: json,
            },
        }
    }

    fn blocks(&self, language: Language, labels: &Labels) -> Vec<Block> {
        let fact = |name: &str, value: &str| {
            Block::Paragraph(vec![Span::bold(format!("{name}: ")), Span::plain(value)])
        };
        let moment = |at: &Option<String>| at.as_deref().map_or(labels.not_yet.to_owned(), shown);
        let quorum = self.quorum.as_ref().map_or(labels.no_quorum.to_owned(), |quorum| {
            let is = if quorum.reached { labels.is_reached } else { labels.is_lost };
            let weights = [quorum.weight_present.as_str(), &quorum.weight_total];
            let counted = language.counted([quorum.heads_present, quorum.heads_total], weights);
            format!("{is}: {counted} ({})", shown(&quorum.at))
        });
        let mut blocks = vec![
            Block::Heading(1, vec![Span::bold(format!("{}: {}", labels.title, self.title))]),
            fact(labels.session, &self.session),
            fact(labels.assembly, &self.assembly),
            fact(labels.modality, language.modality(self.modality)),
            fact(labels.started, &moment(&self.started_at)),
            fact(labels.ended, &moment(&self.ended_at)),
            fact(labels.made, &shown(&self.made_at)),
            Block::Note(vec![Span::plain(labels.times)]),
            Block::Heading(2, vec![Span::bold(labels.figures)]),
            fact(labels.people, &self.figures.people.to_string()),
            fact(labels.present, &self.figures.present.to_string()),
            fact(labels.quorum, &quorum),
            Block::Heading(2, vec![Span::bold(labels.turns)]),
        ];
        blocks.push(if self.quorum_turns.is_empty() {
            Block::Paragraph(vec![Span::plain(labels.no_turns)])
        } else {
            turns(labels, &self.quorum_turns)
        });
        blocks.push(Block::Heading(2, vec![Span::bold(labels.rows)]));
        let rows = (1_usize..).zip(&self.rows);
        let rows = rows.map(|(number, row)| row_of(language, labels, number, row)).collect();
        let columns = labels.columns.iter().zip(WIDTHS);
        let columns = columns.map(|(name, width)| ((*name).to_owned(), width)).collect();
        blocks.push(Block::Table(Table { columns, rows }));
        blocks.extend(self.represented(labels));
        blocks.push(Block::Note(vec![Span::plain(labels.data)]));
        blocks
    }

    /// The units that somebody else than their member represented, when there are any.
    fn represented(&self, labels: &Labels) -> Vec<Block> {
        if self.representations.is_empty() {
            return Vec::new();
        }
        let name = |user: &str| {
            let named = self.rows.iter().find(|row| row.user_id == user && !row.name.is_empty());
            named.map_or("—", |row| row.name.as_str()).to_owned()
        };
        let row = |one: &Representation| {
            vec![
                one.unit.clone(),
                name(&one.user_id),
                one.user_id.clone(),
                one.from.as_deref().map_or(labels.by_list.to_owned(), shown),
                one.until.as_deref().map_or(labels.to_the_end.to_owned(), shown),
            ]
        };
        let columns = labels.represented_columns.iter();
        let columns = columns.map(|name| ((*name).to_owned(), 1.0)).collect();
        let rows = self.representations.iter().map(row).collect();
        vec![
            Block::Heading(2, vec![Span::bold(labels.represented)]),
            Block::Table(Table { columns, rows }),
        ]
    }
}

fn turns(labels: &Labels, turns: &[QuorumAt]) -> Block {
    let row = |turn: &QuorumAt| {
        let call = labels.calls[usize::from(turn.call == "second")];
        let what = if turn.reached { labels.reached } else { labels.lost };
        vec![
            shown(&turn.at),
            call.to_owned(),
            what.to_owned(),
            format!("{} / {}", turn.heads_present, turn.heads_total),
            format!("{} / {}", turn.weight_present, turn.weight_total),
        ]
    };
    let columns = labels.turn_columns.iter().map(|name| ((*name).to_owned(), 1.0)).collect();
    Block::Table(Table { columns, rows: turns.iter().map(row).collect() })
}

fn row_of(language: Language, labels: &Labels, number: usize, row: &AttendanceRow) -> Vec<String> {
    let moment = |at: &Option<String>| at.as_deref().map(shown).unwrap_or_default();
    let cause = row.cause.as_deref().map(|cause| cause_text(labels, cause));
    let name = if row.name.is_empty() { "—" } else { row.name.as_str() };
    vec![
        number.to_string(),
        name.to_owned(),
        row.user_id.clone(),
        row.units.join(", "),
        row.weight.clone(),
        row.represents.join(", "),
        row.from.as_deref().map_or(labels.never.to_owned(), shown),
        moment(&row.until),
        format!("{} ({})", language.method(&row.method), language.place(&row.place)),
        cause.unwrap_or_default().to_owned(),
    ]
}

fn cause_text<'a>(labels: &'a Labels, cause: &'a str) -> &'a str {
    let place = match cause {
        "marked_left" => 0,
        "taken_back" => 1,
        "disconnected" => 2,
        "proof_required" => 3,
        "session_ended" => 4,
        other => return other,
    };
    labels.causes[place]
}

/// A moment to the second.
fn shown(at: &str) -> String {
    let (seconds, _) = at.split_once('.').unwrap_or((at.trim_end_matches('Z'), ""));
    format!("{}Z", seconds.replace('T', " "))
}
