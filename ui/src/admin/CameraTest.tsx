import { useEffect, useRef, useState } from 'react';
import type { CameraStill, CameraTested } from '../api/cameraTypes.ts';
import { Button } from '../ui/Button.tsx';
import { ErrorNote, InfoNote } from '../ui/Notes.tsx';
import { sentence } from '../ui/sentence.ts';
import { findingsText } from './cameraForms.ts';
import { drawStill } from './still.ts';

/** What a look at a camera has shown. */
export function CameraTestResult(props: {
  tested: CameraTested;
  /** The operator says that the certificate is the camera's. */
  onTrust: (fingerprint: string) => void;
}) {
  const { found, why, fingerprint } = props.tested;
  return (
    <section className="stack" aria-label="Result of the test">
      {found === null ? (
        <ErrorNote>No picture. {sentence(why ?? 'nobody knows why')}</ErrorNote>
      ) : (
        <>
          {why === null ? (
            <InfoNote>There is a picture.</InfoNote>
          ) : (
            <ErrorNote>It ended early. {sentence(why)}</ErrorNote>
          )}
          {found.still !== null && <Still still={found.still} />}
          <dl className="facts">
            {findingsText(found).map(({ name, value }) => (
              <div key={name}>
                <dt>{name}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
          {found.notes.map((note) => (
            <p className="reason" key={note}>
              {sentence(note)}
            </p>
          ))}
        </>
      )}
      {fingerprint !== null && (
        <TrustCertificate fingerprint={fingerprint} onTrust={() => props.onTrust(fingerprint)} />
      )}
    </section>
  );
}

/** Asks whether an unknown certificate is the camera's. */
export function TrustCertificate(props: {
  fingerprint: string;
  busy?: boolean;
  onTrust: () => void;
}) {
  return (
    <div className="stack confirm-box">
      <p>
        Nobody vouches for this camera’s certificate, as is usual with cameras. Compare its
        fingerprint with the one on the camera’s own page:
      </p>
      <code className="fingerprint">{props.fingerprint}</code>
      <div>
        <Button kind="primary" busy={props.busy ?? false} onClick={props.onTrust}>
          It is the camera’s: trust it
        </Button>
      </div>
    </div>
  );
}

function Still({ still }: { still: CameraStill }) {
  const canvas = useRef<HTMLCanvasElement>(null);
  const [shown, setShown] = useState(false);
  useEffect(() => {
    let current = true;
    setShown(false);
    if (canvas.current !== null) {
      drawStill(still, canvas.current)
        .then((drawn) => current && setShown(drawn))
        // A browser that cannot show it shows nothing.
        .catch(() => undefined);
    }
    return () => {
      current = false;
    };
  }, [still]);
  return (
    <canvas
      ref={canvas}
      className="camera-still"
      hidden={!shown}
      role="img"
      aria-label="The camera’s last key frame"
    />
  );
}
