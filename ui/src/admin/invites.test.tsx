import { render, screen, within } from '@testing-library/react';
import userEvent from '@testing-library/user-event';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { InvitesTab } from './InvitesTab.tsx';
import { camerasText, roomCameras } from './roomCameras.ts';

const own = [
  { id: 'CA_1', name: 'Yard', room: 'Home' },
  { id: 'CA_2', name: 'Front door', room: 'Home' },
  { id: 'CA_3', name: 'Barn', room: 'Farm' },
];

const person = (identity: string, name: string, camera: boolean) => ({ identity, name, camera });

const rooms = [
  {
    summary: { name: 'Home' },
    participants: [
      person('CA_1', 'Yard', true),
      person('guest-1', 'Ann', false),
      person('CA_far', 'Cabin', true),
    ],
  },
];

const invites = [
  { id: 'a', room: 'Home', cameras: null },
  { id: 'b', room: 'Home', cameras: [] },
  { id: 'c', room: 'Home', cameras: ['CA_2', 'CA_1'] },
  { id: 'd', room: 'Farm', cameras: ['CA_3', 'CA_gone'] },
].map((invite) => ({ ...invite, role: 'watch', expiresAt: null, usesLeft: null, uses: 0 }));

const fetched = vi.fn<(path: string, init: RequestInit) => void>();

beforeEach(() => {
  fetched.mockReset();
  vi.stubGlobal('fetch', async (url: URL | string, init: RequestInit) => {
    const path = String(url);
    fetched(path, init);
    if (init.method === 'POST') {
      return Response.json({ invite: { ...invites[0] }, path: '/sfu#/join/T', urls: [] });
    }
    if (path.endsWith('/invites')) return Response.json(invites);
    if (path.endsWith('/cameras')) return Response.json(own);
    if (path.endsWith('/status')) return Response.json({ rooms });
    return Response.json([]);
  });
});

afterEach(() => vi.unstubAllGlobals());

function sent(): Record<string, unknown> | null {
  const post = fetched.mock.calls.find(([, init]) => init.method === 'POST');
  return post === undefined ? null : JSON.parse(String(post[1].body));
}

describe('which cameras an invite shows', () => {
  it('is said in words', () => {
    const known = own.slice(0, 2);
    expect(camerasText(null, known)).toBe('');
    expect(camerasText([], null)).toBe('sees no cameras');
    expect(camerasText(['CA_1'], null)).toBe('sees 1 of the cameras');
    expect(camerasText(['CA_2', 'CA_1'], known)).toBe('sees 2 of the cameras: Yard, Front door');
    expect(camerasText(['CA_1', 'x'], known)).toBe(
      'sees 2 of the cameras: Yard, 1 that is not here now',
    );
    expect(camerasText(['x', 'y'], known)).toBe('sees 2 of the cameras: 2 that are not here now');
  });

  it('can be cameras of linked servers, each once', () => {
    const all = roomCameras(own as never, rooms as never);
    expect(all.map(({ id, room }) => `${room} ${id}`)).toEqual([
      'Farm CA_3',
      'Home CA_far',
      'Home CA_2',
      'Home CA_1',
    ]);
  });

  it('is in the list of invites', async () => {
    render(<InvitesTab />);
    const list = await screen.findByRole('list', { name: 'Invite links' });
    await within(list).findByText(/ · sees 2 of the cameras: Front door, Yard$/);
    within(list).getByText(/ · sees no cameras$/);
    within(list).getByText(/sees 2 of the cameras: Barn, 1 that is not here now$/);
    expect(within(list).queryAllByText(/sees/)).toHaveLength(3);
  });
});

describe('new invite', () => {
  async function open() {
    const user = userEvent.setup();
    render(<InvitesTab />);
    const form = within(await screen.findByRole('form', { name: 'New invite' }));
    await user.type(form.getByLabelText('Room'), 'Home');
    return { user, form, create: () => user.click(form.getByText('Create invite')) };
  }

  it('shows all cameras unless something else is chosen', async () => {
    const { form, create } = await open();
    expect(form.getByRole('radio', { name: 'All cameras' })).toBeChecked();
    expect(form.queryAllByRole('checkbox')).toHaveLength(0);
    await create();
    expect(sent()).toMatchObject({ room: 'Home', cameras: null });
  });

  it('shows none', async () => {
    const { user, form, create } = await open();
    await user.click(form.getByRole('radio', { name: 'No cameras' }));
    await create();
    expect(sent()).toMatchObject({ cameras: [] });
  });

  it('shows what is chosen of the room’s cameras, by keyboard alone', async () => {
    const { user, form, create } = await open();
    form.getByRole('radio', { name: 'All cameras' }).focus();
    await user.keyboard('{ArrowDown}{ArrowDown}');
    const choice = within(form.getByRole('group', { name: 'Cameras that guests see' }));
    const names = choice.getAllByRole('checkbox').map((box) => box.parentElement?.textContent);
    expect(names).toEqual(['Cabin', 'Front door', 'Yard']);
    await create();
    expect(sent()).toBeNull();
    expect(form.getByText('Choose a camera, or “No cameras”.')).toBeVisible();
    form.getByRole('radio', { name: 'Only these cameras' }).focus();
    await user.keyboard('{Tab} {Tab} {Tab} {Shift>}{Tab}{/Shift} ');
    expect(choice.getByRole('checkbox', { name: 'Cabin' })).toBeChecked();
    expect(choice.getByRole('checkbox', { name: 'Front door' })).not.toBeChecked();
    await create();
    expect(sent()).toMatchObject({ cameras: ['CA_far', 'CA_1'] });
  });

  it('does not name the cameras of another room', async () => {
    const { user, form, create } = await open();
    await user.click(form.getByRole('radio', { name: 'Only these cameras' }));
    await user.click(form.getByRole('checkbox', { name: 'Yard' }));
    await user.clear(form.getByLabelText('Room'));
    expect(form.getByText('Choose a room first.')).toBeVisible();
    await user.type(form.getByLabelText('Room'), 'Farm');
    await user.click(form.getByRole('checkbox', { name: 'Barn' }));
    await create();
    expect(sent()).toMatchObject({ room: 'Farm', cameras: ['CA_3'] });
  });
});
