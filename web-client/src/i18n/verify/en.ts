import type { VerifyKey } from './texts';

/** English texts of the page that verifies. */
export const en: Readonly<Record<VerifyKey, string>> = {
  title: 'Check a recording',
  intro:
    'Anybody can check here that the recording of a session is whole and unchanged since it was captured. No account is needed. Everything is checked on this device: nothing that you choose is sent anywhere.',
  'session.title': 'A session of this server',
  'session.label': 'Address or identifier of the session',
  'session.recent': 'Sessions of this browser',
  'session.go': 'Check the session',
  'session.invalid': 'There is no session identifier in that: it has 36 characters, with hyphens.',
  'session.missing': 'This server publishes no proof of that session.',
  'session.network': 'The server does not answer. A downloaded bundle can still be checked.',
  'bundle.title': 'A downloaded bundle',
  'bundle.hint':
    'Drag the folder, a ZIP or TAR archive, a proof (.json) or the proof that you saved here, or choose them.',
  'bundle.drop': 'Drop to check',
  'bundle.folder': 'Choose a folder',
  'bundle.files': 'Choose files',
  'bundle.none':
    'This is neither a bundle nor a proof nor a saved proof. Choose the folder of the bundle, its ZIP or TAR archive, or the .json file of a proof.',
  'bundle.broken': 'The archive is damaged or incomplete and cannot be opened. Download it again.',
  'more.title': 'Keys and saved proofs',
  'more.keys': 'A list of keys that you trust (keys.json)',
  'more.keysWhy': 'Without one, the list that this server publishes is used.',
  'more.held': 'Proofs that you saved during the session',
  'more.heldWhy': 'They show that the record was not rewritten afterwards.',
  'more.ownKeys': 'Keys: those that this server publishes',
  'more.noKeys':
    'This server has not given its list of keys: choose one, or the result stays incomplete.',
  'run.reading': 'Reading the files…',
  'run.entries': 'Checking the record: {done} of {total} entries',
  'run.heads': 'Checking the signatures: {percent} %',
  'run.objects': 'Checking the recording: {done} of {total}, {speed} per second',
  'run.cancel': 'Stop',
  'run.cancelled': 'It was stopped before the end: there is no result.',
  'run.failed': 'The check could not finish in this browser.',
  'verdict.valid': 'Right',
  'verdict.valid.text': 'Everything that was checked is whole and unchanged since it was captured.',
  'verdict.invalid': 'Something is false',
  'verdict.invalid.text':
    'What is shown is not what was recorded, or it is damaged. Below it says what and where.',
  'verdict.incomplete': 'Incomplete',
  'verdict.incomplete.text':
    'Nothing that was checked is false, but something is missing to be sure of all of it. Below it says what.',
  'about.proof': 'Public proof of session {session}',
  'about.full': 'Complete bundle of session {session}',
  'about.clip': 'Clip of session {session}',
  'about.head': 'Signed with {count, plural, one {one entry} other {# entries}} on {when}',
  'about.started': 'The record began on {when}',
  'about.closed': 'The record is closed: only erasures and accesses can still be added.',
  'about.took': 'Checked in {seconds} s',
  'about.speed': '{size} of recording, {speed} per second',
  checked: 'What was checked',
  notChecked: 'What was not checked',
  problems: 'What is wrong',
  moreProblems: '{count, plural, one {and one more} other {and # more}}',
  tracks: 'Tracks',
  disclosed: 'What was disclosed',
  'disclosed.event': 'Entry {entry}',
  'disclosed.subject': 'Whose the track of entry {entry} is',
  'save.head': 'Save this proof',
  'save.report': 'Download the report',
  'save.kept': 'This browser remembers the proof and will compare it next time.',
  'track.audio': 'Sound',
  'track.video': 'Picture',
  'track.name': 'Track {number}',
  'track.segments': '{count, plural, one {one segment} other {# segments}}',
  'track.gaps': '{count, plural, =0 {no gaps} one {one gap} other {# gaps}}',
  'track.unaccounted': '{seconds} s that nothing accounts for',
  'track.erased': 'erased',
  'place.entry': 'entry {entry}',
  'place.head': 'signature of {size} entries',
  'place.track': 'track {track}',
  'place.segment': 'segment {segment}',
  'place.time': 'from {from} to {to}',
  'place.file': 'in {file}',
  'place.somewhere': 'as a whole',
  'file.proof': 'the proof',
  'file.receipts': 'the receipts',
  'file.close': 'the close',
  'file.consistency': 'the receipt of continuity',
  'file.operator': 'the operator log',
  'file.held': 'the saved proofs',
  'file.jws': 'the repeated signature',
  detail: 'Detail for specialists',
  'check.head': 'The signature of the server over the whole record is genuine.',
  'check.heads':
    '{count, plural, one {One periodic signature is} other {# periodic signatures are}} genuine and fit the entries.',
  'check.jws': 'The copy of the signature as JWS says the same.',
  'check.entries':
    '{count, plural, one {One entry} other {# entries}} of the record, in order and unchanged.',
  'check.tracks': '{count, plural, one {One track} other {# tracks}} of sound and pictures.',
  'check.segments':
    '{count, plural, one {One segment} other {# segments}} chained as the record says.',
  'check.close': 'The close, which fixes where each track ends, is genuine.',
  'check.objects':
    '{count, plural, one {One sealed segment} other {# sealed segments}} of the recording, identical to what was recorded.',
  'check.receipts':
    '{count, plural, one {One entry that is shown is} other {# entries that are shown are}} really in the record.',
  'check.consistency': 'The record now begins exactly as the one known before.',
  'check.held':
    '{count, plural, one {One saved proof fits} other {# saved proofs fit}} the record: it was not rewritten.',
  'check.operator': 'The general log of the operator holds the signature of this session.',
  'check.checkpoint': 'The signature of the general log is genuine.',
  'check.events':
    '{count, plural, one {One disclosed event is} other {# disclosed events are}} what was recorded.',
  'check.subjects':
    '{count, plural, one {The disclosed person of one track is} other {The disclosed people of # tracks are}} who was recorded.',
  'check.opened':
    '{count, plural, one {One segment was} other {# segments were}} opened with the disclosed key, and the content is readable.',
  'unchecked.truth': 'Whether what was said is true: a proof only shows that it was not changed.',
  'unchecked.beforeServer':
    'What happened before the server received it. The server sees sound and pictures before it seals them.',
  'unchecked.recording':
    'The content of the recording: only the proof was given here, not the segments.',
  'unchecked.content':
    'What is heard and seen in {count, plural, one {one segment} other {# segments}}: they are encrypted and their keys were not disclosed.',
  'unchecked.notClosed': 'The end: the session is still open and its record may grow.',
  'unchecked.interrupted': 'The end: the record was interrupted and nobody has closed it.',
  'unchecked.keysUntrusted':
    'Whether the keys belong to whom they say: there is no trusted list, only the one in the bundle itself.',
  'unchecked.objectsNotGiven':
    'The recording: none of the {count, plural, one {segments} other {# segments}} was given.',
  'unchecked.clipObject':
    'The recording of {count, plural, one {one segment} other {# segments}} of the clip that were not given.',
  'unchecked.heldUnlinked':
    'Whether the record now continues {count, plural, one {the saved proof} other {# saved proofs}}: the receipt that joins them is missing.',
  'unchecked.receiptOlder':
    'Whether {count, plural, one {an older receipt belongs} other {# older receipts belong}} to the record as it is now.',
  'unchecked.entriesNotGiven': 'The whole record: its entries are missing or cannot be read.',
  'unchecked.proofNotGiven': 'The whole bundle: its proof (bundle.json) is missing.',
  'unchecked.headsNotGiven':
    'The periodic signatures of the record: their list (heads.cborseq) is missing.',
  'unchecked.keysNotGiven': 'The list of keys of the bundle itself: it is missing (keys.json).',
  'unchecked.absentExplained':
    '{count, plural, one {One segment that is} other {# segments that are}} missing, and that the record itself calls erased or lost.',
  'unchecked.noOperator': 'The general log of the operator: this proof does not include it yet.',
  'unchecked.operatorKey':
    'The signature of the general log: the list of keys does not hold its key.',
  'unchecked.ed25519': 'The signature of the general log: this browser cannot check Ed25519.',
  'unchecked.checkpointOther':
    'The signature of the general log: it is of another moment than the receipt.',
  'unchecked.timestamps': 'Timestamps of third parties.',
  'unchecked.consistencyUnheld': 'A receipt of continuity whose starting point nobody here knows.',
  'unchecked.noHeld':
    'Whether the record was another one in the past: there is no saved proof to compare it with.',
  'unchecked.timeNotTold':
    'Whether there are moments of a track that nothing accounts for: this record is of an older format, which does not say so.',
  'code.MALFORMED': 'Something is missing or does not have its proper form.',
  'code.NOT_CANONICAL': 'It is written in a way that the format does not allow.',
  'code.TOO_LARGE': 'It is larger than it can be.',
  'code.UNKNOWN_KEY':
    'It is signed with a key that is not trusted, or was not the key of that time.',
  'code.SIGNATURE_INVALID': 'The signature is false, or what was signed has been changed.',
  'code.HEADER_INVALID': 'The signed particulars are not those that belong there.',
  'code.ROOT_MISMATCH': 'The entries are not those that were signed.',
  'code.RECEIPT_INVALID': 'The receipt does not show that the entry is in the record.',
  'code.CONSISTENCY_INVALID': 'The receipt does not show that the record continues the one before.',
  'code.FORKED_LOG': 'There are two versions of the record: somebody rewrote it.',
  'code.TRUNCATED_LOG': 'The end of the record is missing.',
  'code.SEQUENCE_INVALID': 'An entry is missing, one too many, or out of order.',
  'code.WRONG_SESSION': 'It belongs to another session.',
  'code.CHAIN_BROKEN': 'The chain of segments is broken.',
  'code.OBJECT_MISSING': 'A segment of the recording is missing.',
  'code.OBJECT_CHANGED': 'A segment of the recording was changed.',
  'code.OBJECT_UNKNOWN': 'There is a recording file that the record knows nothing of.',
  'code.SEGMENT_MISSING': 'The record skips a segment.',
  'code.WRONG_KEY': 'The disclosed key is not the key of that segment.',
  'code.DECRYPTION_FAILED': 'The segment does not open with its key.',
  'code.DISCLOSURE_INVALID': 'What was disclosed is not what was recorded.',
  'code.NOT_CLOSED': 'The session is said to be closed, but its close is missing.',
  'code.ERASURE_INVALID': 'Something is said to be erased that does not exist.',
  'code.OPERATOR_LOG_INVALID': 'The general log of the operator does not support this session.',
  'code.TIME_UNACCOUNTED':
    'The record does not account for some of the time: nothing says that it was recorded, silent, closed by the floor, paused or lost.',
};
