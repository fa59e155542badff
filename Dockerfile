# The reconciler in a small image: no shell, not root, content with a read-only root file system.
#
#   docker build -t cloakroom/reconciler:0.1.0 .
FROM rust:1.95.0-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN --mount=type=cache,target=/usr/local/cargo/registry \
    --mount=type=cache,target=/src/target \
    cargo build --locked --profile dist --package cloakroom-reconciler \
    && install -D target/dist/reconciler /out/usr/local/bin/reconciler \
    # Where a volume for SQLite goes; it takes the owner of the folder it covers.
    && install -d -o 65532 -g 65532 -m 0700 /out/var/lib/cloakroom

# Certificates, time zones and the C library, nothing else.
FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /out/ /
# By number: Kubernetes can tell that this is not root only from a number.
USER 65532:65532
WORKDIR /var/lib/cloakroom
# With no configuration, database and keys are below this: in /var/lib/cloakroom.
ENV XDG_DATA_HOME=/var/lib
# In a container loopback is nobody's; what is published decides who reaches it. A variable counts before the
# file, for the service and for its check alike.
ENV CLOAKROOM_HTTP__LISTEN=0.0.0.0:9464
EXPOSE 9464
# The image has nothing else that could ask.
HEALTHCHECK --interval=30s --timeout=10s --start-period=30s CMD ["/usr/local/bin/reconciler", "health"]
ENTRYPOINT ["/usr/local/bin/reconciler"]
CMD ["serve"]
