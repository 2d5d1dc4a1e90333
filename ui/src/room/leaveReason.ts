import { ConnectionError, ConnectionErrorReason, DisconnectReason } from 'livekit-client';
import type { LeaveReason } from '../lobby/LeftPage.tsx';

/** Why a call that had begun is over. */
export function reasonOfDisconnect(reason: DisconnectReason | undefined): LeaveReason {
  switch (reason) {
    case DisconnectReason.CLIENT_INITIATED:
      return 'self';
    case DisconnectReason.DUPLICATE_IDENTITY:
      return 'duplicate';
    case DisconnectReason.PARTICIPANT_REMOVED:
      return 'removed';
    case DisconnectReason.ROOM_DELETED:
      return 'room_deleted';
    case DisconnectReason.ROOM_CLOSED:
      return 'room_closed';
    case DisconnectReason.SERVER_SHUTDOWN:
      return 'server_restart';
    case DisconnectReason.JOIN_FAILURE:
      return 'media_blocked';
    default:
      return 'lost';
  }
}

/** Why a call could not begin. */
export function reasonOfFailure(error: unknown): LeaveReason {
  if (!(error instanceof ConnectionError)) return 'unreachable';
  switch (error.reason) {
    case ConnectionErrorReason.NotAllowed:
      return 'refused';
    case ConnectionErrorReason.Cancelled:
      return 'self';
    case ConnectionErrorReason.LeaveRequest:
      return 'refused';
    case ConnectionErrorReason.InternalError:
      return 'media_blocked';
    default:
      return 'unreachable';
  }
}
