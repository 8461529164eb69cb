/** An open event stream: its events one by one, beats included. */
export async function* listen(url: string): AsyncGenerator<{ name: string; data: unknown }> {
  const reply = await fetch(new URL('events', url))
  let text = ''
  // The DOM's type of a stream cannot be iterated; Node's can, and this is one.
  for await (const chunk of reply.body as unknown as AsyncIterable<Uint8Array>) {
    text += Buffer.from(chunk).toString()
    for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
      const [, name, data] = /^event: (.*)\ndata: (.*)$/.exec(text.slice(0, end)) ?? []
      text = text.slice(end + 2)
      yield { name, data: JSON.parse(data) }
    }
  }
}
