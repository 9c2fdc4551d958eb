# syntax=docker/dockerfile:1
# One binary in an image without a shell. Build: docker build -t posthouse .
ARG RUST_VERSION=1.95
ARG NODE_VERSION=22

FROM node:${NODE_VERSION}-bookworm-slim AS dashboard
WORKDIR /dashboard
COPY dashboard/package.json dashboard/package-lock.json ./
RUN --mount=type=cache,target=/root/.npm npm ci --ignore-scripts --no-audit --no-fund
COPY dashboard ./
# The types are generated, and committed: the API's document is not needed here.
RUN npm run build

FROM rust:${RUST_VERSION}-slim-bookworm AS build
WORKDIR /src
COPY Cargo.toml Cargo.lock build.rs ./
COPY crates crates
COPY migrations migrations
COPY src src
COPY --from=dashboard /dashboard/dist dashboard/dist
# Crates and what is compiled of them stay in the builder's cache from one build to the next.
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --release --locked --bin posthouse \
    && strip --strip-debug -o /posthouse target/release/posthouse \
    && mkdir /data /backups

# The same glibc as above; user 65532 without a password or a shell.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /posthouse /usr/local/bin/posthouse
COPY --from=build --chown=65532:65532 --chmod=700 /data /var/lib/posthouse
COPY --from=build --chown=65532:65532 --chmod=700 /backups /backups
ENV POSTHOUSE__STORAGE__DATA_DIR=/var/lib/posthouse \
    POSTHOUSE__SERVER__LISTEN=0.0.0.0:8080
USER 65532:65532
VOLUME /var/lib/posthouse /backups
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=8s --start-period=30s CMD ["/usr/local/bin/posthouse", "health"]
ENTRYPOINT ["/usr/local/bin/posthouse"]
CMD ["serve"]
