"""What is pulled: a tree of files that a web server can serve as a registry."""

import hashlib
import json
import os

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
CHUNK = 1 << 20


class Content:
    """folder/v2/NAME/blobs/DIGEST and folder/v2/NAME/manifests/TAG|DIGEST.
    self.manifests[NAME] is (digest, media type), self.blobs[NAME] the digest of its big layer."""

    def __init__(self, folder):
        self.folder = folder
        self.manifests, self.blobs = {}, {}

    def add_image(self, name, layer_bytes, layers=1):
        descriptors = [self._blob(name, LAYER_TYPE, layer_bytes) for _ in range(layers)]
        self.blobs[name] = descriptors[0]["digest"]
        config = self._blob(name, CONFIG_TYPE, 0)
        body = json.dumps({"schemaVersion": 2, "mediaType": MANIFEST_TYPE, "config": config,
                           "layers": descriptors}, indent=1).encode()
        digest = "sha256:" + hashlib.sha256(body).hexdigest()
        for reference in ("v1", digest):
            self._write(f"{self.folder}/v2/{name}/manifests/{reference}", [body])
        self.manifests[name] = (digest, MANIFEST_TYPE)
        return self

    def blob_path(self, name):
        return f"/v2/{name}/blobs/{self.blobs[name]}"

    def manifest_path(self, name):
        return f"/v2/{name}/manifests/v1"

    def _blob(self, name, media_type, size):
        """Random bytes: nothing on the way can compress or share them. Size 0: a config."""
        made = f"{self.folder}/new"
        total = hashlib.sha256()

        def chunks():
            if size == 0:
                yield b'{"architecture":"amd64","os":"linux"}'
            for at in range(0, size, CHUNK):
                yield os.urandom(min(CHUNK, size - at))

        def hashed():
            for chunk in chunks():
                total.update(chunk)
                yield chunk

        self._write(made, hashed())
        digest = "sha256:" + total.hexdigest()
        final = f"{self.folder}/v2/{name}/blobs/{digest}"
        os.makedirs(os.path.dirname(final), exist_ok=True)
        length = os.path.getsize(made)
        os.rename(made, final)
        return {"mediaType": media_type, "digest": digest, "size": length}

    @staticmethod
    def _write(path, chunks):
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as out:
            for chunk in chunks:
                out.write(chunk)
