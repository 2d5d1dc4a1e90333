// Access tokens, made by the SDK that applications use.

import { AccessToken } from 'livekit-server-sdk';
import { API_KEY, API_SECRET } from './server.mjs';

/** A token for `identity` in `room`; `grants` are added to joining, `key` and `ttl` can be wrong. */
export function token(room, identity, { grants = {}, key = API_KEY, secret = API_SECRET, ttl = '1h', ...who } = {}) {
  const access = new AccessToken(key, secret, { identity, name: who.name ?? `${identity}'s name`, ttl, ...who });
  access.addGrant({ roomJoin: true, room, canUpdateOwnMetadata: true, ...grants });
  return access.toJwt();
}
