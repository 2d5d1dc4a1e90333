import { useEffect, useId, useRef, useState } from 'react';
import type { CreatedInvite } from '../api/types.ts';
import { Button } from '../ui/Button.tsx';
import { CopyField } from '../ui/CopyField.tsx';
import { QrCode } from '../ui/QrCode.tsx';
import { inviteUrls } from './inviteUrls.ts';

/** A new invite link: shown once, since the server keeps only its fingerprint. */
export function ShareInvite(props: { created: CreatedInvite; onDone: () => void }) {
  const { created } = props;
  const urls = inviteUrls(created, location.origin);
  const [url, setUrl] = useState(urls[0] ?? '');
  const heading = useRef<HTMLHeadingElement>(null);
  const id = useId();
  useEffect(() => heading.current?.focus(), []);

  return (
    <section className="card stack" aria-labelledby={`${id}-title`}>
      <h2 id={`${id}-title`} ref={heading} tabIndex={-1}>
        Invite to {created.invite.room}
      </h2>
      <p>Copy the link now: it is not shown again.</p>
      <div className="share">
        <div className="stack">
          {urls.length > 1 && (
            <div className="field">
              <label htmlFor={id}>Address</label>
              <select id={id} value={url} onChange={(event) => setUrl(event.target.value)}>
                {urls.map((choice) => (
                  <option key={choice} value={choice}>
                    {new URL(choice).host}
                  </option>
                ))}
              </select>
              <p className="hint">Choose one that the guest’s device can reach.</p>
            </div>
          )}
          <CopyField label="Invite link" value={url} testId="invite-url" />
          <div>
            <Button onClick={props.onDone}>Done</Button>
          </div>
        </div>
        <QrCode text={url} label="The invite link as a QR code" />
      </div>
    </section>
  );
}
