/**
 * An open event stream: its events one by one, beats included.
 *
 * @param lastId of the last event that was read before.
 */
export async function* listen(
  url: string,
  lastId?: string,
): AsyncGenerator<{ name: string; id: string; data: unknown }> {
  const reply = await fetch(new URL('events', url), {
    headers: lastId === undefined ? {} : { 'last-event-id': lastId },
  })
  let text = ''
  // The DOM's type of a stream cannot be iterated; Node's can, and this is one.
  for await (const chunk of reply.body as unknown as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString()
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const [, name, id, data] = /^event: (.*)\nid: (.*)\ndata: (.*)$/.exec(text.slice(0, end)) ?? []
      text = text.slice(end + 2)
      if (name !== undefined) yield { name, id, data: JSON.parse(data) }
    }
  }
}
