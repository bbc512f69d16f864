# The worker, and every other command of Tidegauge.

FROM python:3.11-slim AS build
WORKDIR /source
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN python -m venv /opt/tidegauge && /opt/tidegauge/bin/pip install --no-cache-dir .

FROM python:3.11-slim
COPY --from=build /opt/tidegauge /opt/tidegauge
ENV PATH=/opt/tidegauge/bin:$PATH PYTHONUNBUFFERED=1
RUN useradd --system --uid 10001 tidegauge
USER 10001
WORKDIR /tmp
EXPOSE 6066
# The stages make progress; a broker or store that is away does not make the worker ill.
HEALTHCHECK --interval=10s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:6066/livez', timeout=4)"]
ENTRYPOINT ["tidegauge"]
CMD ["worker"]
