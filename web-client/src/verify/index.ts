export { verifyBundle, verifyProof } from './bundle';
export type { BundleFile, Options } from './bundle';
export type { Code, Place, Problem } from './problem';
export { isNeeded } from './report';
export type { Check, Disclosed, Progress, Report, TrackReport, Unchecked, Verdict } from './report';
