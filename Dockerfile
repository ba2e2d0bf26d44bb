# App image: non-root, healthcheck, data on a volume.
FROM python:3.11-slim
ENV PYTHONUNBUFFERED=1 PIP_NO_CACHE_DIR=1
WORKDIR /srv/fontanelle
COPY requirements.txt .
# Build with --build-arg TORCH_INDEX=<PyTorch's index of CPU wheels> to spare several GB of CUDA libraries.
ARG TORCH_INDEX=""
RUN pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -r requirements.txt "psycopg[binary]==3.3.9"
COPY core core
COPY app app
COPY models models
COPY .streamlit .streamlit
RUN useradd --create-home --uid 10001 fontanelle && install -d -o fontanelle /data
USER fontanelle
ENV FONTANELLE_DATA_DIR=/data
VOLUME /data
EXPOSE 8501
HEALTHCHECK --interval=30s --timeout=5s --start-period=60s \
    CMD python -c "import urllib.request as u; u.urlopen('http://127.0.0.1:8501/fontanelle/health', timeout=4)"
CMD ["python", "-m", "streamlit", "run", "app/server.py", "--server.address=0.0.0.0", "--server.port=8501", "--server.headless=true"]
