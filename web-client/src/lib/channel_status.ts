/** Why a channel will not connect again. */
export type ClosedReason =
  'left' | 'forbidden' | 'removed' | 'not_found' | 'replaced' | 'over' | 'sign_in_required';

/** Whether the channel works, and if not, since when and what happens next. */
export type ChannelStatus =
  | { readonly phase: 'idle' }
  | { readonly phase: 'connecting'; readonly sinceMs: number }
  | { readonly phase: 'open' }
  | { readonly phase: 'reconnecting'; readonly sinceMs: number; readonly attempt: number }
  | {
      readonly phase: 'closed';
      readonly reason: ClosedReason;
      /** The server's last word before it closed, if it said why. */
      readonly code: string | null;
    };

/** Whether the token of the connection is being kept good. */
export type Renewal =
  | { readonly state: 'fine' }
  | {
      readonly state: 'failing';
      /** When the connection ends without a new token, ms since 1970 by the server's clock. */
      readonly endsAtMs: number;
      /** Whether only the person can help, by signing in. */
      readonly needsPerson: boolean;
    };
