import type { ErrorTexts } from './es';

/** What the codes of refusals mean, in English. */
export const errors: ErrorTexts = {
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
  'error.ROOM_ELSEWHERE':
    'The room of this session is on another server. Try again there, or in a moment.',
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
  'error.PROVIDER_NOT_CONFIGURED':
    'This installation can’t hold meetings on that video service. Choose another one, or tell whoever runs it.',
  'error.PROVIDER_UNAVAILABLE': 'The video service does not answer. Try again in a moment.',
  'error.PROVIDER_REFUSED':
    'The video service does not accept the account of this installation. Tell whoever runs it.',
  'error.PROVIDER_LIMIT_REACHED':
    'The video service takes no more meetings for now. Try again later.',
  'error.WEBHOOK_SIGNATURE_INVALID':
    'The notice of the video service has no valid signature. Tell whoever runs this installation.',
  'error.WEBHOOK_EXPIRED':
    'The notice of the video service came too late. Tell whoever runs this installation.',
  'error.PROVIDER_UNSUPPORTED':
    'This session is held on another video service. Use the link of your invitation.',
  'error.REQUEST_STATE_CONFLICT':
    'That request has already been accepted, or not yet. Look at the list and decide again.',
  'error.SDP_INVALID':
    'Your browser and the server did not agree on sound or picture. Reload the page; if it repeats, try another browser.',
  'error.SIGNALLING_STATE_CONFLICT':
    'Sound or picture changed on both sides at once. Reload the page if it does not mend by itself.',
  'error.LANGUAGE_UNSUPPORTED':
    'Speech in that language can’t become text here. Choose another one from the list.',
  'error.TRANSCRIPT_CHUNK_NOT_FOUND':
    'That text is not in the transcript. Reload the page and look again.',
  'error.MINUTES_NOT_FOUND':
    'Nobody has confirmed the minutes of this session yet. You can read the draft.',
  'error.MINUTES_LIMIT_REACHED':
    'This session has as many versions of its minutes as it may. Use the last one.',
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
    'That unit is delegated already, or no longer, or is their own. Look at the list.',
  'error.DELEGATION_LIMIT_REACHED':
    'They would represent more units than they may. Choose fewer, or somebody else.',
  'error.ELIGIBLE_LIST_FIXED':
    'The list of those who may attend is fixed and does not change. Talk to whoever called the session.',
  'error.ELIGIBLE_LIST_REFUSED':
    'The list of those who may attend has a fault and was refused. Moderators see which row it is; it has to be corrected where it comes from.',
  'error.ELIGIBLE_LIST_UNKNOWN':
    'The list of those who may attend is not known yet. Wait a moment and try again.',
  'error.MICROPHONE_REFUSED':
    'Nobody hears you: the server can not take sound in the form in which this browser sends it. Use a current Chrome, Edge, Firefox or Safari.',
  'error.CAMERA_REFUSED':
    'Nobody sees your camera: the server can not take video in the form in which this browser sends it. You are still heard. Use a current Chrome, Edge, Firefox or Safari.',
  'error.SCREEN_REFUSED':
    'Nobody sees your screen: the server can not take video in the form in which this browser sends it. Use a current Chrome, Edge, Firefox or Safari.',
  'error.SECTION_REFUSED':
    'A part of what this browser sends reaches nobody: the server can not take it in this form. Use a current Chrome, Edge, Firefox or Safari.',
  'error.BUNDLE_CUT_OFF':
    'The download was cut off, and the server can not be reached to continue it. Check your connection and press download again.',
  'error.BUNDLE_LIMIT_REACHED':
    'Others of your organisation are taking copies now, and only two are made at once. Try again in a moment.',
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
  'error.PLAYBACK_SESSION_CLOSED': 'Your right to watch this camera is over. Ask for a new one.',
  'error.PLAYBACK_STREAM_NOT_FOUND': 'This camera is not known.',
  'error.PLAYBACK_STREAM_NOT_READY': 'The camera has nothing to show yet. It is tried again.',
  'error.PLAYBACK_STREAM_STOPPED': 'The camera is not shown any more.',
  'error.PLAYBACK_RELOAD_INVALID':
    'The request for the camera’s pictures is not valid. Reload the page.',
  'error.PLAYBACK_WAIT_LIMIT_REACHED':
    'Too many requests wait for pictures of the camera. Close other windows that show it, and reload the page.',
  'error.PLAYBACK_MANIFEST_NOT_FOUND': 'There is no such list of the camera’s pictures.',
  'error.PLAYBACK_SEGMENT_NOT_FOUND': 'These pictures of the camera are not kept any more.',
  'error.PLAYBACK_TOKEN_SCOPE_MISMATCH':
    'The access is for another camera. Open it from the page of the one you want to see.',
  'error.PROOF_EXPIRED': 'The code has expired. Ask for another and show it at once.',
  'error.PROOF_INVALID': 'The code is not valid. Check it or ask for another.',
  'error.PROOF_REPLAYED': 'That code was already used. Ask for another.',
  'error.PROOF_WRONG_CONTEXT':
    'That code is for another session or person. Use the one that you got for this session.',
  'error.QUORUM_CALL_CONFLICT': 'This session has no second call, or it has begun already.',
  'error.SESSION_TRANSITION_INVALID':
    'The playback is not in a state that allows this. Open it again.',
  'error.STREAM_LIMIT_REACHED':
    'The organisation has as many streams open as it may. Close one and try again.',
  'error.CAMERA_CODEC_UNSUPPORTED':
    'The camera sends a codec that a room cannot show. Set it to H.264.',
  'error.CAMERA_BFRAMES_UNSUPPORTED':
    'The camera sends B-frames, which a room cannot show. Switch them off in the camera.',
  'error.CAPTURE_LIMIT_REACHED':
    'The tenant has as many open captures as it may. Close some of them.',
  'error.STREAM_NOT_FOUND': 'There is no such stream.',
  'error.STREAM_ALREADY_ACTIVE':
    'The camera has an active stream. Stop it before you start another one.',
  'error.LIVE_VIEWING_OFF':
    'The session may not be watched by people outside it. Switch live viewing on in its settings.',
  'error.STREAM_NOT_ENTITLED':
    'The organisation is not entitled to streams. Talk to whoever runs it.',
  'error.STREAM_SESSION_NOT_FOUND': 'There is no such stream, or it has ended. Open it again.',
  'error.TENANT_SUSPENDED':
    'The organisation is suspended and cannot do this. Talk to whoever runs it.',
  'error.UNIT_NOT_FOUND': 'That unit is not on the list. Check what it is called.',
  'error.other':
    'The server could not do this. Try again; if it repeats, tell whoever helps you what you were doing and at what time.',
};
