import { render, screen } from '@testing-library/react';
import { describe, expect, it, vi } from 'vitest';
import { type LeaveReason, LeftPage, leaveText } from './LeftPage.tsx';

const REASONS: LeaveReason[] = [
  'self',
  'removed',
  'duplicate',
  'room_deleted',
  'room_closed',
  'server_restart',
  'refused',
  'unreachable',
  'media_blocked',
  'lost',
];

describe('LeftPage', () => {
  it('has its own words for each reason', () => {
    expect(new Set(REASONS.map((reason) => leaveText(reason).text)).size).toBe(REASONS.length);
  });

  it('puts the focus on what has happened, and offers the way back', async () => {
    const again = vi.fn();
    render(
      <LeftPage
        reason="removed"
        room="Tea"
        invite={null}
        onAgain={again}
        onHome={() => undefined}
      />,
    );
    expect(screen.getByRole('heading', { name: 'You were removed' })).toHaveFocus();
    screen.getByRole('button', { name: 'Join again' }).click();
    expect(again).toHaveBeenCalledOnce();
  });
});
