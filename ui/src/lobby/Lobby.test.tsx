import { render, screen, waitFor } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { describe, expect, it, vi } from 'vitest';
import { loadChoices } from './choices.ts';
import { Lobby } from './Lobby.tsx';

function show(changed: { canPublish?: boolean; name?: string; problem?: string }) {
  const onJoin = vi.fn(async () => undefined);
  render(
    <Lobby
      info={{
        room: 'Tea',
        canPublish: changed.canPublish ?? true,
        canModerate: false,
        participants: 2,
        serverName: 'Umbrella',
      }}
      choices={{ ...loadChoices(), name: changed.name ?? '' }}
      onChange={() => undefined}
      onJoin={onJoin}
      problem={changed.problem ?? null}
    />,
  );
  return onJoin;
}

// jsdom has neither devices nor a secure context: the lobby must work all the same.
describe('Lobby', () => {
  it('lets a person without any device join', async () => {
    const onJoin = show({ name: 'Ada' });
    await userEvent.click(screen.getByRole('button', { name: 'Join' }));
    await waitFor(() => expect(onJoin).toHaveBeenCalledWith({ camera: null, microphone: null }));
    expect(screen.getByText(/still watch and listen/)).toBeVisible();
  });

  it('says what is wrong with the devices and what to do', () => {
    show({});
    const problems = screen.getAllByTestId('device-problem');
    expect(problems.map((problem) => problem.dataset.kind)).toEqual(['camera', 'microphone']);
    expect(screen.getByRole('link', { name: /trust this server/ })).toBeVisible();
  });

  it('asks for a name instead of joining without one', async () => {
    const onJoin = show({ name: '  ' });
    await userEvent.click(screen.getByRole('button', { name: 'Join' }));
    expect(onJoin).not.toHaveBeenCalled();
    expect(screen.getByRole('alert')).toHaveTextContent('Please enter a name.');
    expect(screen.getByLabelText('Your name')).toHaveFocus();
  });

  it('shows no device to somebody who may only watch', () => {
    show({ canPublish: false });
    expect(screen.queryByTestId('device-problem')).toBeNull();
    expect(screen.queryByRole('button', { name: /camera|microphone/i })).toBeNull();
    expect(screen.getByText(/watching and listening/)).toBeVisible();
  });

  it('shows why the server did not let the person in', () => {
    show({ name: 'Ada', problem: 'This invite is used up.' });
    expect(screen.getByRole('alert')).toHaveTextContent('This invite is used up.');
  });
});
