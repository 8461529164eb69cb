# docker build -t tilestage .
# docker run -p 8979:8979 -v /ssd/pyramids:/data:ro -e TILESTAGE_TOKEN=… tilestage /data/plate_07
#
# The image listens on every address of the container, so pyramids are opened below /data only, and changing what is
# shown needs the token (made up and printed at the start where TILESTAGE_TOKEN is not set). docs/shared-host.md says more.
#
# Where packages come from another registry: --secret id=npmrc,src=$HOME/.npmrc
# The first image brings Node and npm to build with, the second one Node to run.
ARG BUILD_IMAGE=node:22-bookworm-slim
ARG BASE_IMAGE=node:22-bookworm-slim

FROM ${BUILD_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json ./
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm ci --no-audit --no-fund
COPY tsconfig.json ./
COPY scripts scripts
COPY kernels kernels
COPY src src
COPY public public
RUN npm run build
RUN --mount=type=secret,id=npmrc,target=/root/.npmrc npm prune --omit=dev --no-audit --no-fund

FROM ${BASE_IMAGE}
ENV NODE_ENV=production \
    TILESTAGE_HOST=0.0.0.0 \
    TILESTAGE_PORT=8979 \
    TILESTAGE_ROOT=/data \
    TILESTAGE_LOG_LEVEL=info \
    XDG_CACHE_HOME=/tmp \
    XDG_STATE_HOME=/state
RUN mkdir /data /state && chown 1000:1000 /state
WORKDIR /app
COPY package.json LICENSE ./
COPY examples examples
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
USER 1000:1000
EXPOSE 8979
HEALTHCHECK --interval=30s --timeout=3s --start-period=5s \
  CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.TILESTAGE_PORT}/healthz`).then(r=>process.exit(r.ok?0:1),()=>process.exit(1))"]
ENTRYPOINT ["node", "dist/cli.js", "serve"]
