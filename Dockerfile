# docker build -t tilestage .
# docker run -p 8979:8979 -v /ssd/pyramids:/data:ro -e TILESTAGE_TOKEN=… tilestage /data/plate_07
#
# The image listens on every address of the container, so pyramids are opened below /data only, and changing what is
# shown needs the token (made up and printed at the start where TILESTAGE_TOKEN is not set).
ARG BASE_IMAGE=node:22-bookworm-slim

FROM ${BASE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts scripts
COPY kernels kernels
COPY src src
COPY public public
RUN npm run build && npm prune --omit=dev --no-audit --no-fund

FROM ${BASE_IMAGE}
WORKDIR /app
ENV NODE_ENV=production \
    TILESTAGE_HOST=0.0.0.0 \
    TILESTAGE_PORT=8979 \
    TILESTAGE_ROOT=/data \
    TILESTAGE_LOG_LEVEL=info \
    XDG_CACHE_HOME=/tmp
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY examples examples
RUN mkdir -p /data
USER 1000:1000
EXPOSE 8979
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.TILESTAGE_PORT}/healthz`).then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["node", "dist/cli.js", "serve"]
