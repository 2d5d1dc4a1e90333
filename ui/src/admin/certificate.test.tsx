import { render, screen } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, describe, expect, it, vi } from 'vitest';
import type { CertificateStatus } from '../api/types.ts';
import { CertificateSection } from './CertificateSection.tsx';
import { dateText } from './format.ts';

const now = Math.floor(Date.now() / 1000);

const good: CertificateStatus = {
  domains: ['meet.example.org', 'b.example.org'],
  inUse: true,
  issuer: "Let's Encrypt (R11)",
  validUntil: now + 5_000_000,
  lastError: null,
  nextTry: now + 2_000_000,
};

const refused = {
  ...good,
  lastError: 'the authority refuses: meet.example.org leads elsewhere',
  nextTry: now + 900,
};

function show(certificate: CertificateStatus) {
  const onRetry = vi.fn();
  render(<CertificateSection certificate={certificate} onRetry={onRetry} />);
  return onRetry;
}

afterEach(() => vi.unstubAllGlobals());

describe('CertificateSection', () => {
  it('says by whom, for what and until when', () => {
    show(good);
    for (const name of good.domains) expect(screen.getByText(name)).toBeVisible();
    expect(screen.getByText("Let's Encrypt (R11)")).toBeVisible();
    expect(screen.getByText('Valid until').nextSibling).toHaveTextContent(
      dateText(good.validUntil ?? 0),
    );
    expect(screen.getByText('To be renewed').nextSibling).toHaveTextContent(dateText(good.nextTry));
    expect(screen.queryByRole('alert')).toBeNull();
  });

  it('does not take the first minute for a failure', () => {
    show({ ...good, inUse: false, issuer: null, validUntil: null, nextTry: 0 });
    expect(screen.getByText(/is being asked for.*browsers warn/)).toBeVisible();
    expect(screen.queryByRole('alert')).toBeNull();
    expect(screen.queryByText('Issued by')).toBeNull();
  });

  it.each([
    ['There is no certificate yet', { inUse: false, issuer: null, validUntil: null }],
    ['The certificate has expired', { inUse: false, validUntil: now - 5 }],
    ['The old one stays in use', {}],
  ])('says why: %s', (words, state) => {
    show({ ...refused, ...state });
    const alert = screen.getByRole('alert');
    expect(alert).toHaveTextContent(words);
    expect(alert).toHaveTextContent('The last try failed: the authority refuses: meet.example.org');
    expect(alert).toHaveTextContent(`The next try is on ${dateText(refused.nextTry)}`);
  });

  it('tries again when asked to', async () => {
    const calls: string[] = [];
    vi.stubGlobal('fetch', async (url: string, init: RequestInit) => {
      calls.push(`${init.method} ${url}`);
      return new Response(null, { status: 204 });
    });
    const onRetry = show(refused);
    await userEvent.click(screen.getByRole('button', { name: 'Try now' }));
    expect(calls).toEqual(['POST /api/admin/certificate/retry']);
    expect(onRetry).toHaveBeenCalledOnce();
  });

  it('offers no second try during the first', () => {
    show({ ...refused, nextTry: now - 1 });
    expect(screen.getByText('It is tried now.')).toBeVisible();
    expect(screen.queryByRole('button')).toBeNull();
  });
});
