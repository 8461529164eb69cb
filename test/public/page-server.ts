import { pino } from 'pino'
import { type RunningServer, type ServerConfig, startServer } from '../../src/server/serve.js'

/**
 * The real server with some pyramids, on a port of its own.
 *
 * @param assetsFolder what `bundlePage` made. @param settings that are not as usual.
 */
export function servePage(
  assetsFolder: string,
  pyramids: readonly string[],
  settings: Partial<ServerConfig> = {},
): Promise<RunningServer> {
  return startServer({
    host: '127.0.0.1',
    port: 0,
    roots: [],
    allowedHosts: [],
    cacheBytes: 64 * 2 ** 20,
    pyramids,
    logger: pino({ level: 'silent' }),
    software: 'tilestage test',
    assetsFolder,
    ...settings,
  })
}
