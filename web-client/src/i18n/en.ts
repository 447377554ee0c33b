import type { Catalogue } from './i18n';

/** English. */
export const en: Catalogue = {
  'app.name': 'Cabildo',
  'language.label': 'Language',
  'common.close': 'Close',
  'common.cancel': 'Cancel',
  'common.retry': 'Try again',
  'common.undo': 'Undo',
  'common.send': 'Send',
  'common.loading': 'Loading…',
  'common.you': 'You',
  'common.youSuffix': '{name} (you)',
  'common.copy': 'Copy',
  'common.copied': 'Copied',

  'start.title': 'Join an assembly',
  'start.intro': 'Use the link of your invitation or type the session identifier.',
  'start.session': 'Session identifier',
  'start.go': 'Continue',
  'start.invalid':
    'That is not a session identifier. Copy all of it from the invitation: 36 characters, with hyphens.',
  'start.recent': 'Your sessions',
  'start.none': 'This browser has not joined any session yet.',
  'start.governance': 'Governance page (development)',

  'session.status.scheduled': 'Scheduled',
  'session.status.active': 'In progress',
  'session.status.completed': 'Ended',
  'session.status.cancelled': 'Cancelled',
  'session.modality.virtual': 'Virtual',
  'session.modality.in_person': 'In person',
  'session.modality.mixed': 'Mixed',
  'session.moderation.open': 'Open floor',
  'session.moderation.moderated': 'Moderated floor',
  'session.startsAt': 'Starts: {when}',
  'session.recorded':
    'The policy of this session provides for recording it. A recording is kept for {days, plural, one {one day} other {# days}}.',
  'session.transcribed': 'The policy of this session provides for transcribing it.',

  'join.title': 'Before you join',
  'join.join': 'Join',
  'join.notStarted': 'The session has not started yet. You can join as soon as it has.',
  'join.over': 'The session is over. It can no longer be joined.',
  'join.camera': 'Camera',
  'join.microphone': 'Microphone',
  'join.loudspeaker': 'Loudspeaker',
  'join.cameraOff': 'The camera is off',
  'join.noCamera': 'No camera',
  'join.default': 'The usual one',
  'join.deviceN': 'Device {n}',
  'join.level': 'Microphone level',
  'join.levelHint': 'Say something: the bar should move.',
  'join.muted': 'Join with the microphone off',
  'join.video': 'Join with the camera on',
  'join.listenOnly': 'Join only to listen',
  'join.observer': 'You join as an observer: you see and hear, without microphone or camera.',
  'join.dev': 'Development server: choose who you are',
  'join.name': 'Your name',
  'join.role': 'Join as',
  'join.tenant': 'Organisation identifier',
  'join.noSession': 'The link has no session. Ask for the whole link or type the identifier.',
  'role.participant': 'Participant',
  'role.moderator': 'Moderator',
  'role.observer': 'Observer',
  'role.hall': 'Hall',
  'role.operator': 'Operator',
  'role.auditor': 'Auditor',
  'role.recorder': 'Recording',

  'recording.running': 'Recording',
  'recording.paused': 'Recording paused',
  'recording.running.long': 'This session is being recorded',
  'recording.paused.long': 'The recording is paused',
  'recording.said.started': 'This session is being recorded',
  'recording.said.paused': 'The recording is paused: nothing is recorded now',
  'recording.said.stopped': 'The recording has ended: nothing is recorded any more',
  'recording.banner.title': 'This session is recorded',
  'recording.banner.what': 'Sound, pictures and the decisions of the session are recorded.',
  'recording.banner.kept':
    'The recording is kept encrypted and erased {days, plural, =0 {when the session ends} one {one day after it ends} other {# days after it ends}}.',
  'recording.banner.who':
    'Only moderators and auditors of your organisation can watch it, and every time is noted down.',
  'recording.banner.proof': 'Anybody can check that it was not altered.',
  'recording.banner.verify': 'How it is checked',
  'recording.banner.understand': 'I understand',
  'recording.banner.leave': 'Leave',
  'recording.console': 'Recording',
  'recording.start': 'Record',
  'recording.resume': 'Go on recording',
  'recording.pause': 'Pause the recording',
  'recording.stop': 'End the recording',
  'recording.stopped': 'Not recording',
  'recording.stop.title': 'End the recording?',
  'recording.stop.text':
    'What is said from now on will not be recorded. What has been recorded is kept. Everybody will see it.',

  'witness.count': 'Record witnessed: {count, plural, one {one entry} other {# entries}}',
  'witness.failed': 'The record of the session does not add up',
  'witness.title': 'This browser is a witness',
  'witness.explain':
    'Your browser checks the signature of the record of the session and keeps a proof. If anybody rewrote the record later, even whoever runs the server, this proof would expose it.',
  'witness.at': 'Last checked: {when}',
  'witness.never': 'It could not be checked yet that the record continues the one before.',
  'witness.save': 'Save proof',
  'witness.verify': 'Check the recording',
  'witness.failedText':
    'The server has sent a record that contradicts the one this browser kept ({code}). Save the proof and tell whoever chairs the session: it may be a grave fault or tampering.',
  'witness.said.failed':
    'Warning: the record of the session contradicts the one that this browser kept',

  'device.microphone.denied':
    'The browser does not allow the microphone. Tap the padlock or icon beside the address, allow the microphone and press Try again.',
  'device.microphone.missing': 'No microphone was found. Connect one and press Try again.',
  'device.microphone.busy': 'Another program uses the microphone. Close it and press Try again.',
  'device.microphone.insecure':
    'The browser hides the microphone because the page did not come over a secure connection. Open the link that starts with https.',
  'device.microphone.failed':
    'The microphone did not start. Unplug it, plug it in again, and press Try again.',
  'device.camera.denied':
    'The browser does not allow the camera. Tap the padlock or icon beside the address, allow the camera and press Try again.',
  'device.camera.missing': 'No camera was found. You can join without one.',
  'device.camera.busy':
    'Another program uses the camera. Close it and press Try again, or join without it.',
  'device.camera.insecure':
    'The browser hides the camera because the page did not come over a secure connection. Open the link that starts with https.',
  'device.camera.failed': 'The camera did not start. You can join without it.',
  'device.screen.denied': 'The screen is not shared: the browser or you did not allow it.',
  'device.screen.failed': 'The browser could not share the screen.',

  'connection.connecting': 'Connecting…',
  'connection.open': 'Connected',
  'connection.good': 'Good connection',
  'connection.fair': 'Fair connection',
  'connection.poor': 'Poor connection',
  'connection.reconnecting':
    'No connection for {seconds, plural, one {one second} other {# seconds}}. Reconnecting…',
  'connection.restored': 'Connected again. Nothing was lost.',
  'connection.hear': 'Tap to hear',
  'connection.hearWhy': 'The browser waits for a tap before it plays sound.',

  'closed.left.title': 'You have left the session',
  'closed.left.text': 'You can join again while the session goes on.',
  'closed.forbidden.title': 'You cannot be in this session',
  'closed.forbidden.text':
    'A moderator removed you, or your access does not include this session. Talk to whoever invited you.',
  'closed.not_found.title': 'There is no such session',
  'closed.not_found.text': 'The link belongs to no open session. Check that it is complete.',
  'closed.replaced.title': 'The session goes on in another window',
  'closed.replaced.text':
    'This connection was continued from another window. Stay there, or join again here.',
  'closed.over.title': 'The session is over',
  'closed.over.text': 'Thank you for taking part. You can close this page.',
  'closed.sign_in_required.title': 'You have to sign in again',
  'closed.sign_in_required.text': 'Your access has expired and could not be renewed. Join again.',
  'closed.rejoin': 'Join again',

  'floor.nobody': 'Nobody has the floor',
  'floor.speaking': 'Has the floor',
  'floor.paused': 'Turn paused',
  'floor.youSpeak': 'You have the floor',
  'floor.youPaused': 'Your turn is paused',
  'floor.youInterrupted': 'Your turn waits until a question is over',
  'floor.inHall': 'in the hall',
  'floor.timeLeft': 'Time left',
  'floor.timeOver': 'Over time',
  'floor.interrupted': 'Waiting: {name}',
  'floor.said.started': '{name} has the floor',
  'floor.said.ended': '{name} has finished',
  'floor.said.paused': 'The turn of {name} is paused',
  'floor.said.mine': 'You have the floor: you can speak',
  'floor.said.mineEnded': 'Your turn is over',
  'floor.said.warning': '{seconds} seconds left',
  'floor.said.approved': 'Your request was accepted: you are in the list',
  'floor.said.denied': 'Your request to speak was not accepted',
  'floor.said.deniedReason': 'Your request to speak was not accepted: {reason}',
  'floor.said.muted': 'A moderator closed your microphone',
  'floor.said.unmuted': 'A moderator allowed your microphone again',

  'ask.button': 'Ask for the floor',
  'ask.more': 'Choose kind and note',
  'ask.title': 'Ask for the floor',
  'ask.kind': 'What for',
  'ask.note': 'Note for the moderator (optional)',
  'ask.stance': 'Position (optional)',
  'ask.closed': 'The list is closed',
  'ask.withdraw': 'Withdraw my request',
  'ask.end': 'End my turn',
  'ask.sent': 'Request sent: the moderator has to accept it',
  'kind.normal': 'Speak on the matter',
  'kind.point_of_order': 'Point of order',
  'kind.intervention': 'Reply',
  'kind.interposed_question': 'Question to the speaker',
  'kind.short.normal': 'Speech',
  'kind.short.point_of_order': 'Order',
  'kind.short.intervention': 'Reply',
  'kind.short.interposed_question': 'Question',
  'stance.none': 'Not said',
  'stance.pro': 'In favour',
  'stance.contra': 'Against',
  'stance.neutral': 'Neutral',

  'place.none': 'You are not in the list',
  'place.requested': 'Waiting for the moderator',
  'place.next': 'You are next',
  'place.waiting': '{ahead, plural, one {One person} other {# people}} before you',

  'mic.listening_only': 'Listening only',
  'mic.off': 'Microphone off',
  'mic.open': 'You are heard',
  'mic.muted_by_moderator': 'Closed by the moderator',
  'mic.closed_by_floor': 'On, but without the floor: you are not heard',
  'mic.turnOn': 'Turn microphone on',
  'mic.turnOff': 'Turn microphone off',
  'mic.add': 'Use microphone',
  'camera.turnOn': 'Turn camera on',
  'camera.turnOff': 'Turn camera off',
  'screen.share': 'Share screen',
  'screen.stop': 'Stop sharing',
  'layout.grid': 'Show as grid',
  'layout.speaker': 'Show the speaker',
  'meeting.leave': 'Leave',
  'meeting.controls': 'Controls',
  'meeting.stage': 'Picture',
  'meeting.others': 'Other pictures',
  'meeting.noPicture': 'No picture',
  'meeting.screenOf': 'Screen of {name}',
  'meeting.pictureOf': 'Picture of {name}',
  'meeting.stale': 'Last picture received',
  'meeting.floor': 'The floor',

  'chat.title': 'Messages',
  'chat.input': 'Write a message',
  'chat.empty': 'No messages yet.',
  'chat.unread': '{count, plural, one {1 new message} other {# new messages}}',
  'people.title': 'Participants',
  'people.count': '{count, plural, one {one person} other {# people}}',
  'people.notice.moderator': 'Like a moderator’s name, but somebody else',
  'people.notice.reserved': 'Like an official name',
  'people.away': 'reconnecting',
  'people.audio': 'microphone on',
  'people.noAudio': 'microphone off',
  'people.video': 'camera on',
  'people.screen': 'shares the screen',
  'people.muted': 'closed by the moderator',
  'people.heard': 'is heard',
  'people.speaking': 'speaking',

  'console.title': 'Moderation',
  'console.turn': 'Turn',
  'console.start': 'Give the floor to the next',
  'console.startThis': 'Give the floor to {name}',
  'console.pause': 'Pause',
  'console.resume': 'Resume',
  'console.stop': 'Take the floor back',
  'console.extend': '+{seconds} s',
  'console.extendName': 'Add {seconds} seconds',
  'console.requested': 'Asking for the floor',
  'console.queue': 'Speaking list',
  'console.noRequests': 'Nobody waits for a decision.',
  'console.emptyQueue': 'The list is empty.',
  'console.approve': 'Accept',
  'console.deny': 'Refuse',
  'console.denyTitle': 'Refuse the request of {name}',
  'console.reason': 'Reason (optional, the person will see it)',
  'console.denying': 'Refusing {name}',
  'console.removing': 'Removing {name}',
  'console.withdrawName': 'Take {name} off the list',
  'console.up': 'Move {name} up',
  'console.down': 'Move {name} down',
  'console.drag': 'Drag to order',
  'console.waits': 'waiting {time}',
  'console.turns':
    '{count, plural, =0 {has not spoken yet} one {one turn before} other {# turns before}}',
  'console.openQueue': 'Open the list',
  'console.closeQueue': 'Close the list',
  'console.queueOpen': 'The list is open',
  'console.queueClosed': 'The list is closed',
  'console.setModerated': 'Change to moderated floor',
  'console.setOpen': 'Change to open floor',
  'console.mute': 'Close microphone',
  'console.unmute': 'Allow microphone',
  'console.removeName': 'Remove {name} from the session',
  'console.admit': 'Readmit',
  'console.removed': 'Removed',
  'console.hallSpeaker': 'Person in the hall',
  'console.hallName': 'Name of the person in the hall',
  'console.addHall': 'Add to the list',
  'console.shortcuts': 'Keyboard shortcuts',
  'console.notModerator': 'This page is for moderators. Your access does not include it.',
  'console.moved': '{name}: place {place} of {count}',
  'console.listen': 'Hear the session',
  'console.shortcut.next': 'Give the floor to the next',
  'console.shortcut.pause': 'Pause or resume the turn',
  'console.shortcut.stop': 'Take the floor back',
  'console.shortcut.extend30': 'Add 30 seconds',
  'console.shortcut.extend60': 'Add 60 seconds',
  'console.shortcut.approve': 'Accept the first request',
  'console.shortcut.deny': 'Refuse the first request',
  'console.shortcut.queue': 'Open or close the list',
  'console.shortcut.hall': 'Add a person in the hall',
  'console.shortcut.chat': 'Go to the messages',
  'console.shortcut.undo': 'Undo',
  'console.shortcut.move': 'On a row of the list: move up or down',
  'console.shortcut.help': 'Show this help',

  'hall.next': 'Next',
  'hall.nobodyNext': 'Nobody waits',
  'hall.waiting': 'Waiting for the start',

  'governance.title': 'Governance of sessions',
  'governance.devOnly':
    'Only in development: sessions are created and ended here without a certificate.',
  'governance.notDev': 'This server is not in development mode; there is nothing to do here.',
  'governance.tenant': 'Organisation identifier',
  'governance.tenantInvalid': 'The organisation identifier is a UUID of 36 characters.',
  'governance.create': 'Create session',
  'governance.field.title': 'Title',
  'governance.field.modality': 'Modality',
  'governance.field.moderation': 'Floor',
  'governance.field.turn': 'Seconds per turn',
  'governance.field.autoStart': 'Give the floor on acceptance when it is free',
  'governance.field.max': 'Most participants',
  'governance.sessions': 'Sessions',
  'governance.none': 'There are no sessions yet.',
  'governance.start': 'Start',
  'governance.end': 'End',
  'governance.cancel': 'Cancel',
  'governance.link.join': 'Join',
  'governance.link.console': 'Console',
  'governance.link.hall': 'Hall display',
  'governance.refresh': 'Refresh',

  'signIn.title': 'Sign in',
  'signIn.waits': 'Finish signing in in the other window…',
  'signIn.close': 'Done. You can close this window and go on in the other one.',
  'renewal.said': 'Your access ends soon and could not be renewed. The session goes on meanwhile.',
  'renewal.signIn':
    'Your access ends in {left}. Sign in again: a window opens beside this one and you stay here, losing nothing.',
  'renewal.away':
    'The identity service does not answer. Your access is good for {left} more; renewing it is still being tried. You can also sign in yourself.',
  'follower.waits':
    'The session has not started yet. This page enters by itself as soon as it has.',
  'mic.unplugged': 'The microphone was unplugged',
  'mic.disconnected': 'No connection to the session',
  'mic.system_muted': 'The system has silenced the microphone',
  'mic.not_arriving': 'Your sound does not arrive',
  'mic.silent': 'The microphone gives no sound',
  'mic.unheard.listening_only':
    'Nobody hears you: you have the floor, but no microphone. Press the microphone button.',
  'mic.unheard.unplugged':
    'Nobody hears you: the microphone was unplugged. Plug it in and press the microphone button.',
  'mic.unheard.disconnected':
    'Nobody hears you: the server does not answer. Wait until the connection is back.',
  'mic.unheard.muted_by_moderator':
    'Nobody hears you: the moderator has closed your microphone. Wait until it is allowed.',
  'mic.unheard.off': 'Nobody hears you: you have the floor with the microphone off. Turn it on.',
  'mic.unheard.system_muted':
    'Nobody hears you: the system or another program has silenced the microphone. Turn it on there.',
  'mic.unheard.not_arriving':
    'Nobody hears you: your sound does not reach the server. It reconnects by itself; if that takes long, reload the page.',
  'mic.unheard.silent':
    'Nobody hears you: no sound comes from the microphone. Check that it is plugged in and switched on, or choose another.',
  'mic.said.unplugged': 'The microphone was unplugged',
  'camera.said.unplugged': 'The camera was unplugged: nobody sees your picture',
  'screen.said.reload': 'Reloading the page ended sharing your screen. Share it again if needed.',
  'undo.start_turn': 'The floor was given',
  'undo.stop_turn': 'The turn has ended',
  'undo.approve_speech': 'Request accepted',
  'undo.deny_speech': 'Request refused',
  'undo.cancel_speech': 'Request taken off the list',
  'undo.remove_participant': 'Person removed from the session',
  'undo.set_moderation': 'The mode of the floor has changed',
  'undo.done': 'Undone: it is as it was before, and the record says so',
  'moderation.said.open':
    'The floor is open: everybody may speak. Your microphone is off; turn it on when you want to speak.',
  'moderation.said.openChair':
    'The floor is open: everybody may speak. Microphones stay off until their owners turn them on.',
  'moderation.said.moderated':
    'The floor is moderated again: only whoever has it and the moderators are heard.',
  'console.openTitle': 'Open the floor?',
  'console.openText':
    'Everybody will be able to speak without asking. Everybody is told; microphones stay off until their owners turn them on. There {count, plural, one {is one person} other {are # people}} in the session.',
  'console.absentTitle': '{name} is not in the session',
  'console.absentText':
    'There is no connection to them right now. If you give them the floor, time runs and nobody speaks. You can wait, or give it all the same.',
  'console.absentStart': 'Give it all the same',
  'presence.away': 'no connection right now',
  'presence.absent': 'not in the session',
  'join.moderator': 'You moderate this session: you enter the moderation console.',
  'join.console': 'Open the moderation console',
  'join.asParticipant': 'Join as a participant, with camera',
  'closed.removed.title': 'The moderator has removed you from the session',
  'closed.removed.text':
    'You can no longer see or hear the session. That you took part, and when this happened, stays on record. If you think it is a mistake, talk to whoever chairs: they can readmit you, and then you join with the same link.',
  'console.nextIs': 'Next: {name}',
  'console.search': 'Search by name',
  'console.filter': 'Show',
  'console.filter.all': 'Everybody',
  'console.filter.heard': 'Who is heard',
  'console.filter.muted': 'Microphone closed',
  'console.filter.away': 'Not connected',
  'console.filter.hall': 'Hall',
  'console.nobodyFound': 'Nobody matches.',
  'console.showAll': 'Show {count, plural, one {one person} other {all # people}}',
  'console.shortcutsOn': 'Use one-key shortcuts',
  'console.justStarted':
    'The floor has only just been given: nothing else was done. To go on to the next person, press again.',
  'console.shortcut.search': 'Search for a person',
  'docs.title': 'REST interface',
  'docs.intro': 'Version {version}. The same for programs:',
  'docs.search': 'Search for a route',
  'person.noPicture': '{name}, without a picture',
  'error.title': 'Something went wrong',
  'error.NETWORK': 'The server does not answer. Check your connection and try again.',
  'error.NOT_CONNECTED': 'There is no connection right now. Repeat it when it is back.',
  'error.CONNECTION_LOST':
    'The connection broke before the answer. See whether it was done and, if not, repeat it.',
  'error.TIMED_OUT':
    'The server did not answer in time. See whether it was done and, if not, repeat it.',
  'error.FORBIDDEN': 'Your access does not allow this. If it should, talk to whoever invited you.',
  'error.SESSION_NOT_FOUND': 'There is no such session for you. Check that the link is complete.',
  'error.SESSION_STATE_CONFLICT':
    'The session is not in a state that allows this. Reload the page.',
  'error.SESSION_OVER': 'The session is over.',
  'error.TOKEN_EXPIRED': 'Your access has expired. Join again.',
  'error.TOKEN_INVALID': 'The server does not know your access. Join again from your link.',
  'error.DPOP_PROOF_INVALID':
    'The server did not accept the proof of your browser. Check the clock of your device and reload the page.',
  'error.SESSION_LIMIT_REACHED': 'The organisation has as many sessions open as it may.',
  'error.PARTICIPANT_LIMIT_REACHED':
    'The session is full. Wait until somebody leaves and try again.',
  'error.BITRATE_LIMIT_REACHED':
    'The organisation uses all its bandwidth. Turn the camera off and try again.',
  'error.DECISION_STALE':
    'Something changed before your decision arrived, so nothing was done. Look again and decide.',
  'error.ACTION_NOT_FOUND': 'There is nothing to take back.',
  'error.UNDO_TOO_LATE': 'It is too late to take this back.',
  'error.LAST_MODERATOR': 'This is the last moderator in the room and cannot be removed.',
  'error.RATE_LIMITED': 'Too many requests in a row. Wait a moment and try again.',
  'error.DEPENDENCY_UNAVAILABLE':
    'A service this depends on does not answer. Try again in a moment.',
  'error.QUEUE_CLOSED': 'The list is closed: no requests are taken now. Wait until it opens.',
  'error.QUEUE_FULL': 'The list is full. Try again when somebody has spoken.',
  'error.ALREADY_WAITING': 'You already wait with a request of this kind.',
  'error.REQUEST_NOT_FOUND': 'That request no longer waits: it was dealt with or withdrawn.',
  'error.QUEUE_EMPTY': 'Nobody waits in the list.',
  'error.NO_TURN': 'Nobody has the floor now.',
  'error.TURN_STATE_CONFLICT': 'The turn has already changed. See how it stands now.',
  'error.NOT_YOUR_TURN': 'You no longer have the floor.',
  'error.TURN_LIMIT_REACHED': 'The turn would be longer than the session allows.',
  'error.ORDER_INVALID': 'The list changed while you ordered it. Try again.',
  'error.PARTICIPANT_NOT_FOUND': 'That person is no longer in the session.',
  'error.TRACK_LIMIT_REACHED':
    'The session takes no more pictures or sounds of yours. Stop sending something and try again.',
  'error.UNPROCESSABLE_REQUEST': 'Some value is not valid. Check it and try again.',
  'error.RECORDING_STATE_CONFLICT': 'The recording has already changed. Look at how it is now.',
  'error.SIGN_IN_REQUIRED': 'You have to sign in to go on. Press the button to do so.',
  'error.SIGN_IN_LOOP':
    'Signing in was tried several times in a row without success. Check that the browser lets this page keep data, then press the button.',
  'error.SIGN_IN_WINDOW':
    'The window for signing in did not come back, or the browser did not open it. Allow windows of this page and press the button again.',
  'error.SIGN_IN_CANCELLED': 'You stopped signing in. Press the button when you want to try again.',
  'error.SIGN_IN_REFUSED':
    'The identity service gave no access. Sign in again; if it repeats, tell whoever invited you.',
  'error.SIGN_IN_UNAVAILABLE': 'The identity service does not answer. Wait a moment and try again.',
  'error.SIGN_IN_MISSING':
    'This server does not say where to sign in. Use the link of your invitation, or tell whoever invited you.',
  'error.INSECURE_PAGE':
    'The page did not come over a secure connection, and the browser does not let you join like this. Open the link that starts with https.',
  'error.PAGE_FAILED':
    'The page has failed. Reload it; nothing is lost. If it repeats, tell whoever helps you.',
  'error.MALFORMED_REQUEST':
    'The server did not understand what the page sent. Reload it and try again.',
  'error.PAYLOAD_TOO_LARGE': 'What was sent is too large and was not taken. Send less.',
  'error.UNSUPPORTED_MEDIA_TYPE':
    'The server does not take this type of data. Reload the page and try again.',
  'error.METHOD_NOT_ALLOWED':
    'The page and the server are not of the same version. Reload the page.',
  'error.ROUTE_NOT_FOUND':
    'There is no such thing on this server. Check that the link is complete and reload the page.',
  'error.CREDENTIALS_MISSING': 'You have not signed in. Join again from your link.',
  'error.TOKEN_BOUND':
    'Your access belongs to another browser. Join again from your link in this one.',
  'error.DPOP_PROOF_REPLAYED':
    'The page sent the same thing twice and the second one was not taken. See whether it was done and, if not, repeat it.',
  'error.DPOP_NONCE_REQUIRED': 'The server asked for a fresher proof of your browser. Try again.',
  'error.RESUME_TOKEN_INVALID':
    'The connection before no longer exists. The page enters again by itself; if not, reload it.',
  'error.CLIENT_CERTIFICATE_REQUIRED':
    'Only services of the organisation can do this, not people. Ask whoever runs it.',
  'error.VERSION_CONFLICT':
    'Somebody else changed this meanwhile, so nothing was kept. Reload the page and repeat your change.',
  'error.PRECONDITION_REQUIRED':
    'The page did not say which version it changes, so nothing was kept. Reload it and repeat your change.',
  'error.IDEMPOTENCY_KEY_REUSED':
    'What was asked differs from what was asked before. Reload the page and try again.',
  'error.IDEMPOTENCY_KEY_IN_USE':
    'The same is being done already. Wait a moment and see whether it is done.',
  'error.INTERNAL':
    'The server failed while doing this. See whether it was done and, if not, repeat it; if it fails again, tell whoever helps you, with the time.',
  'error.PROVIDER_UNSUPPORTED':
    'This session is held on another video service. Use the link of your invitation.',
  'error.REQUEST_STATE_CONFLICT':
    'That request has already been accepted, or not yet. Look at the list and decide again.',
  'error.SDP_INVALID':
    'Your browser and the server did not agree on sound or picture. Reload the page; if it repeats, try another browser.',
  'error.SIGNALLING_STATE_CONFLICT':
    'Sound or picture changed on both sides at once. Reload the page if it does not mend by itself.',
  'error.TRACK_NOT_FOUND': 'That picture or sound is no longer sent. There is nothing to do.',
  'error.MEDIA_RESOURCE_NOT_FOUND':
    'That connection for picture and sound no longer exists. Connect the device again.',
  'error.RECORDING_NOT_FOUND':
    'There is no recording of this. Check that the link is of the session you look for.',
  'error.RECORDING_ERASED':
    'The recording was erased and can no longer be watched. Its proof still holds: you can check it.',
  'error.PLAYBACK_TOKEN_FORMAT_INVALID':
    'The address of the recording is incomplete. Open it from the page of the recording.',
  'error.PLAYBACK_TOKEN_SIGNATURE_INVALID':
    'The address of the recording was changed and is not valid. Open it from the page of the recording.',
  'error.PLAYBACK_TOKEN_EXPIRED':
    'The address of the recording has expired. Reload the page of the recording to get another.',
  'error.RANGE_NOT_SATISFIABLE':
    'A part was asked for that the file does not have. Reload the page.',
  'error.MEDIA_TOKEN_NOT_FOUND':
    'That access for a device no longer exists: it expired or was withdrawn. Make another.',
  'error.MEDIA_TOKEN_LIMIT_REACHED':
    'This session takes no more accesses for devices. Withdraw one that is not used.',
  'error.ATTENDANCE_FULL': 'The attendance list is full. Tell whoever runs the session.',
  'error.CAMERA_LIMIT_REACHED':
    'The organisation has as many cameras as it may. Remove one to add another.',
  'error.CAMERA_NOT_FOUND':
    'There is no such camera, or it was removed. Choose another from the list.',
  'error.CAMERA_SOURCE_INVALID':
    'The address of the camera is not valid. Check that it starts with rtsp and is complete.',
  'error.CAMERA_SOURCE_REFUSED':
    'The address of the camera is in a network that may not be reached. Ask whoever runs the server to allow it.',
  'error.CAPTURE_SESSION_CONFLICT':
    'That capture already exists with other data, or has ended. Begin another.',
  'error.CAPTURE_SESSION_NOT_FOUND': 'There is no such capture. Check its identifier.',
  'error.DELEGATION_CONFLICT':
    'That delegation contradicts one that is already registered. Look at the list and correct one of them.',
  'error.DELEGATION_LIMIT_REACHED':
    'This person already represents as many units as they may. Choose somebody else.',
  'error.ELIGIBLE_LIST_FIXED':
    'The list of those who may attend is fixed and does not change. Talk to whoever called the session.',
  'error.ELIGIBLE_LIST_UNKNOWN':
    'The list of those who may attend is not known yet. Wait a moment and try again.',
  'error.EVENT_STREAM_LIMIT_REACHED':
    'Too many programs read the events at once. Close one and try again.',
  'error.EVENTS_EXPIRED': 'The events asked for are too old and no longer kept. Begin from now.',
  'error.NOT_ELIGIBLE':
    'This person is not on the list of those who may attend. Check the name, or talk to whoever called the session.',
  'error.NOT_PRESENT': 'This person is not registered as present. Register them first.',
  'error.PLAYBACK_TOKEN_MISSING':
    'The address of the video lacks its access. Open it from the page that shows it.',
  'error.PLAYBACK_TOKEN_PAYLOAD_INVALID':
    'The access to the video is not valid. Open it again from the page that shows it.',
  'error.PLAYBACK_TOKEN_SCOPE_MISMATCH':
    'The access is for another camera. Open it from the page of the one you want to see.',
  'error.PROOF_EXPIRED': 'The code has expired. Ask for another and show it at once.',
  'error.PROOF_INVALID': 'The code is not valid. Check it or ask for another.',
  'error.PROOF_REPLAYED': 'That code was already used. Ask for another.',
  'error.PROOF_WRONG_CONTEXT':
    'That code is for another session or person. Use the one that you got for this session.',
  'error.QUORUM_CALL_CONFLICT': 'The call has already changed. Look at how it is now.',
  'error.SESSION_TRANSITION_INVALID':
    'The playback is not in a state that allows this. Open it again.',
  'error.STREAM_LIMIT_REACHED':
    'The organisation has as many streams open as it may. Close one and try again.',
  'error.STREAM_NOT_ENTITLED':
    'The organisation is not entitled to streams. Talk to whoever runs it.',
  'error.STREAM_SESSION_NOT_FOUND': 'There is no such stream, or it has ended. Open it again.',
  'error.TENANT_SUSPENDED':
    'The organisation is suspended and cannot do this. Talk to whoever runs it.',
  'error.UNIT_NOT_FOUND': 'That unit is not on the list. Check what it is called.',
  'error.other':
    'The server could not do this. Try again; if it repeats, tell whoever helps you what you were doing and at what time.',
};
