# The reconciler in a small image: no shell needed, not root, a read-only root file system will do.
FROM rust:1.95-slim-bookworm AS build
WORKDIR /src
COPY . .
RUN cargo build --locked --profile dist --package cloakroom-reconciler

FROM gcr.io/distroless/cc-debian12:nonroot
COPY --from=build /src/target/dist/reconciler /usr/local/bin/reconciler
USER nonroot
EXPOSE 9464
ENTRYPOINT ["/usr/local/bin/reconciler"]
CMD ["serve"]
