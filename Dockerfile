# The app in public: docker build -t landmark-tagger . && docker run --rm -p 8866:8866 landmark-tagger
FROM python:3.12-slim

ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /app
COPY requirements-app.txt ./
RUN pip install --no-cache-dir --no-compile -r requirements-app.txt

COPY app.ipynb voila.json ./
COPY src src
COPY checkpoints/transfer_exported.pt checkpoints/SHA256SUMS checkpoints/

# may read what is above and write nothing of it
RUN useradd --no-log-init --create-home --uid 1000 visitor
USER 1000

EXPOSE 8866
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8866/health', timeout=4)"]
CMD ["python", "-m", "src.host", "--Voila.ip=0.0.0.0", "--port=8866"]
