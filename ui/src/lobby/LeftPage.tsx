import { useEffect, useRef } from 'react';
import { hrefOf } from '../app/route.ts';
import { Shell } from '../app/Shell.tsx';
import { Button } from '../ui/Button.tsx';

/** Why a call is over for this person. */
export type LeaveReason =
  | 'self'
  | 'removed'
  | 'duplicate'
  | 'room_deleted'
  | 'room_closed'
  | 'server_restart'
  | 'refused'
  | 'unreachable'
  | 'media_blocked'
  | 'lost';

/** The page after a call: why it is over, and the way back in. */
export function LeftPage(props: {
  reason: LeaveReason;
  room: string;
  /** The invite by which they came, `null` for the admin. */
  invite: string | null;
  onAgain: () => void;
  onHome: () => void;
}) {
  const heading = useRef<HTMLHeadingElement>(null);
  useEffect(() => heading.current?.focus(), []);
  const { title, text } = leaveText(props.reason);
  return (
    <Shell title={props.room}>
      <div data-testid="left" data-reason={props.reason} className="stack">
        <h1 ref={heading} tabIndex={-1}>
          {title}
        </h1>
        <p>{text}</p>
        {mayBeBlocked(props.reason) && (
          <p>
            <a href={hrefOf({ kind: 'check', token: props.invite })}>Find out what is blocked</a>
          </p>
        )}
        <div className="row">
          <Button kind="primary" onClick={props.onAgain}>
            Join again
          </Button>
          <Button kind="quiet" onClick={props.onHome}>
            Close
          </Button>
        </div>
      </div>
    </Shell>
  );
}

/** Whether a check of the network may tell more. */
function mayBeBlocked(reason: LeaveReason): boolean {
  return reason === 'unreachable' || reason === 'media_blocked' || reason === 'lost';
}

/** What to tell the person. */
export function leaveText(reason: LeaveReason): { title: string; text: string } {
  switch (reason) {
    case 'self':
      return { title: 'You have left', text: 'The others can no longer see or hear you.' };
    case 'removed':
      return {
        title: 'You were removed',
        text: 'A moderator has ended your call. You cannot come back for ten minutes.',
      };
    case 'duplicate':
      return {
        title: 'You joined somewhere else',
        text: 'The call goes on in another tab or on another device of yours.',
      };
    case 'room_deleted':
      return {
        title: 'The room is gone',
        text: 'It was deleted, so the call is over for everyone.',
      };
    case 'room_closed':
      return { title: 'The call is over', text: 'The room was closed.' };
    case 'server_restart':
      return {
        title: 'The server is restarting',
        text: 'It should be back in a moment. Join again then.',
      };
    case 'refused':
      return {
        title: 'You were not let in',
        text: 'The server refused the call. The invite may have ended in the meantime.',
      };
    case 'unreachable':
      return {
        title: 'No connection',
        text: 'The server cannot be reached. Check your network and join again.',
      };
    case 'media_blocked':
      return {
        title: 'Sound and pictures do not get through',
        text: 'The server answers, but your network seems to block calls. Try another network.',
      };
    case 'lost':
      return {
        title: 'The connection was lost',
        text: 'It could not be restored. Check your network and join again.',
      };
  }
}
