# CPU image from a checkout: docker build --tag hstu-preserve . && docker run --rm hstu-preserve
FROM python:3.12-slim-bookworm

# An index to take PyTorch from, e.g. one with CPU-only builds; without it, pip's own.
ARG TORCH_INDEX_URL=""

WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY hstu_preserve hstu_preserve
COPY manifests manifests
COPY bundles bundles
# hadolint ignore=DL3013  # the checkout itself; its own ranges are in pyproject.toml
RUN pip install --no-cache-dir ${TORCH_INDEX_URL:+--extra-index-url "${TORCH_INDEX_URL}"} '.[cpu]' \
    && useradd --create-home --uid 1000 reader

USER 1000
WORKDIR /work
# Any user may be named with --user, also one without a home.
ENV HF_HOME=/tmp/huggingface
ENTRYPOINT ["hstu-preserve"]
CMD ["reproduce", "sample"]
