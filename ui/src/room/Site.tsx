import { useParticipantAttributes } from '@livekit/components-react';
import type { Participant } from 'livekit-client';

/** The site of somebody who is at another one; the server says so, and nothing of those here. */
export function useSite(participant: Participant): string | null {
  const { attributes } = useParticipantAttributes({ participant });
  const site = attributes?.['umbrella.site'] ?? '';
  return site === '' || participant.isLocal ? null : site;
}

/** Where somebody is who is at another site. */
export function Site({ participant }: { participant: Participant }) {
  const site = useSite(participant);
  if (site === null) return null;
  return (
    <span className="site" title={site}>
      <span className="visually-hidden"> at </span>
      {site}
    </span>
  );
}
