import { api } from '../api/client.ts';
import type { CertificateStatus } from '../api/types.ts';
import { Button } from '../ui/Button.tsx';
import { ErrorNote, InfoNote } from '../ui/Notes.tsx';
import { Addresses } from './Addresses.tsx';
import { dateText } from './format.ts';
import { useAction } from './useData.ts';

/** How things are with the certificate that the server gets from a public authority. */
export function CertificateSection(props: { certificate: CertificateStatus; onRetry: () => void }) {
  const { domains, inUse, issuer, validUntil, lastError, nextTry } = props.certificate;
  return (
    <section className="card stack" aria-label="Certificate">
      <h2>Certificate</h2>
      {issuer !== null && validUntil !== null && (
        <dl className="facts">
          <Fact name="Issued by">{issuer}</Fact>
          <Fact name={inUse ? 'Valid until' : 'Expired'}>{dateText(validUntil)}</Fact>
          {inUse && lastError === null && <Fact name="To be renewed">{dateText(nextTry)}</Fact>}
        </dl>
      )}
      <Addresses title="Names" addresses={domains} />
      {lastError === null && !inUse && (
        <InfoNote>A certificate is being asked for. {STANDS_IN}</InfoNote>
      )}
      {lastError !== null && <Trouble {...props} error={lastError} />}
    </section>
  );
}

const STANDS_IN =
  'Until it is there, the server shows its own certificate, of which browsers warn.';

function Fact(props: { name: string; children: string }) {
  return (
    <div>
      <dt>{props.name}</dt>
      <dd>{props.children}</dd>
    </div>
  );
}

function Trouble(props: { certificate: CertificateStatus; error: string; onRetry: () => void }) {
  const { inUse, validUntil, nextTry } = props.certificate;
  const action = useAction();
  const retry = async () => {
    await action.run('retry', api.retryCertificate);
    props.onRetry();
  };
  const now = Date.now() / 1000;
  return (
    <>
      <ErrorNote>
        <p>
          {inUse && 'There is no new certificate. The old one stays in use until it expires.'}
          {!inUse && validUntil !== null && `The certificate has expired. ${STANDS_IN}`}
          {!inUse && validUntil === null && `There is no certificate yet. ${STANDS_IN}`}
        </p>
        <p>The last try failed: {props.error}.</p>
        <p>{nextTry > now ? `The next try is on ${dateText(nextTry)}.` : 'It is tried now.'}</p>
        {nextTry > now && (
          <Button kind="quiet" busy={action.busy !== null} onClick={() => void retry()}>
            Try now
          </Button>
        )}
      </ErrorNote>
      {action.error !== null && <ErrorNote>{action.error}</ErrorNote>}
    </>
  );
}
