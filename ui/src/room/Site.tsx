import { useParticipantAttributes } from '@livekit/components-react';
import type { Participant } from 'livekit-client';

/** The site of somebody who is at another one; the server says so, and nothing of those here. */
export function Site({ participant }: { participant: Participant }) {
  const { attributes } = useParticipantAttributes({ participant });
  const site = attributes?.['umbrella.site'] ?? '';
  if (site === '' || participant.isLocal) return null;
  return (
    <span className="site" title={site}>
      <span className="visually-hidden"> at </span>
      {site}
    </span>
  );
}
