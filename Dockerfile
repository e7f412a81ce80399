# Parlour's program with its page inside. Weights are fetched at first start into /models.
FROM node:22-bookworm-slim AS page
WORKDIR /build/frontend
COPY frontend/package.json frontend/package-lock.json ./
RUN npm ci --no-audit --no-fund
COPY frontend ./
RUN npm run build

FROM rust:1-bookworm AS program
WORKDIR /build
COPY Cargo.toml Cargo.lock ./
COPY src src
COPY models models
COPY --from=page /build/frontend/dist frontend/dist
RUN --mount=type=cache,target=/usr/local/cargo/registry --mount=type=cache,target=/build/target \
    cargo build --release --locked --bin parlour && cp target/release/parlour /parlour

# Caddy without root: the folders of its volumes are its own.
FROM caddy:2 AS caddy
RUN adduser -S -u 10002 parlour && mkdir -p /data/caddy /config/caddy && chown -R 10002 /data /config
USER 10002

FROM debian:bookworm-slim AS parlour
RUN apt-get update \
    && apt-get install -y --no-install-recommends ca-certificates curl \
    && rm -rf /var/lib/apt/lists/* \
    && useradd --system --uid 10001 --no-create-home parlour \
    && mkdir /data /models && chown parlour /data /models
COPY --from=program /parlour /usr/local/bin/parlour
USER parlour
ENV PARLOUR_BIND=0.0.0.0:8080 PARLOUR_DATA=/data PARLOUR_MODELS=/models
VOLUME /data /models
EXPOSE 8080
STOPSIGNAL SIGTERM
ENTRYPOINT ["parlour"]
CMD ["serve"]
