# vlsearch in a container: docs/serve.md#in-a-container
FROM python:3.12-slim AS build
COPY . /src
RUN pip wheel --no-deps --wheel-dir /wheels /src

FROM python:3.12-slim
COPY --from=build /wheels /wheels
RUN pip install --no-cache-dir "$(echo /wheels/vlsearch-*.whl)[serve,mcp,postgres]" \
 && useradd --uid 1000 --create-home vlsearch \
 && install --directory --owner vlsearch /data
USER vlsearch
ENV VLSEARCH_COLLECTION=/data/collection XDG_CACHE_HOME=/data/cache
VOLUME /data
EXPOSE 8642
CMD ["vlsearch", "serve", "--host", "0.0.0.0", "--no-browser"]
