//! What a scripted S3 server keeps: objects and uncompleted uploads in memory, of one bucket, whatever it is called.
//!
//! Invariant: a write is applied whole under one lock; `If-None-Match: *` and `If-Match` are kept; a second completion of an upload meets none,
//! as on the strictest of real stores. Knows nothing of faults.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::SystemTime;

use bytes::Bytes;
use futures::TryStreamExt;
use s3s::dto::*;
use s3s::{S3, S3Request, S3Response, S3Result, s3_error};
use sha2::{Digest as _, Sha256};

/// Parts of an upload by number.
type Parts = BTreeMap<i32, Bytes>;

#[derive(Default)]
pub struct Kept {
    pub objects: BTreeMap<String, Bytes>,
    /// By id; each with its key.
    pub uploads: BTreeMap<String, (String, Parts)>,
    begun: u64,
}

/// Shared by the server and the test.
#[derive(Clone, Default)]
pub struct Shelves(Arc<Mutex<Kept>>);

impl Shelves {
    pub fn lock(&self) -> MutexGuard<'_, Kept> {
        self.0.lock().unwrap()
    }
}

fn tag(bytes: &[u8]) -> ETag {
    ETag::Strong(format!("{:x}", Sha256::digest(bytes)))
}

fn epoch() -> Timestamp {
    SystemTime::UNIX_EPOCH.into()
}

async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(body) = body else { return Ok(Bytes::new()) };
    let pieces: Vec<Bytes> = body.try_collect().await.map_err(|_| s3_error!(IncompleteBody))?;
    Ok(pieces.concat().into())
}

#[async_trait::async_trait]
impl S3 for Shelves {
    async fn put_object(&self, req: S3Request<PutObjectInput>) -> S3Result<S3Response<PutObjectOutput>> {
        let PutObjectInput { body, key, if_match, if_none_match, .. } = req.input;
        let bytes = collect(body).await?;
        let e_tag = Some(tag(&bytes));
        let objects = &mut self.lock().objects;
        if if_none_match.is_some() && objects.contains_key(&key) {
            return Err(s3_error!(PreconditionFailed));
        }
        if if_match.is_some_and(|wanted| objects.get(&key).map(|kept| tag(kept)).as_ref() != wanted.as_etag()) {
            return Err(s3_error!(PreconditionFailed));
        }
        objects.insert(key, bytes);
        Ok(S3Response::new(PutObjectOutput { e_tag, ..Default::default() }))
    }

    async fn get_object(&self, req: S3Request<GetObjectInput>) -> S3Result<S3Response<GetObjectOutput>> {
        let bytes = self.lock().objects.get(&req.input.key).cloned().ok_or_else(|| s3_error!(NoSuchKey))?;
        let e_tag = Some(tag(&bytes));
        let (mut body, mut content_range) = (bytes.clone(), None);
        if let Some(range) = req.input.range {
            let range = range.check(bytes.len() as u64).map_err(|_| s3_error!(InvalidRange))?;
            content_range = Some(format!("bytes {}-{}/{}", range.start, range.end - 1, bytes.len()));
            body = bytes.slice(range.start as usize..range.end as usize);
        }
        Ok(S3Response::new(GetObjectOutput {
            content_length: Some(body.len() as i64),
            body: Some(s3s::Body::from(body).into()),
            content_range,
            e_tag,
            last_modified: Some(epoch()),
            ..Default::default()
        }))
    }

    async fn head_object(&self, req: S3Request<HeadObjectInput>) -> S3Result<S3Response<HeadObjectOutput>> {
        let bytes = self.lock().objects.get(&req.input.key).cloned().ok_or_else(|| s3_error!(NoSuchKey))?;
        Ok(S3Response::new(HeadObjectOutput {
            content_length: Some(bytes.len() as i64),
            e_tag: Some(tag(&bytes)),
            last_modified: Some(epoch()),
            ..Default::default()
        }))
    }

    async fn delete_object(&self, req: S3Request<DeleteObjectInput>) -> S3Result<S3Response<DeleteObjectOutput>> {
        self.lock().objects.remove(&req.input.key);
        Ok(S3Response::new(DeleteObjectOutput::default()))
    }

    async fn delete_objects(&self, req: S3Request<DeleteObjectsInput>) -> S3Result<S3Response<DeleteObjectsOutput>> {
        let objects = &mut self.lock().objects;
        let remove = |named: ObjectIdentifier| {
            objects.remove(&named.key);
            DeletedObject { key: Some(named.key), ..Default::default() }
        };
        let deleted = Some(req.input.delete.objects.into_iter().map(remove).collect());
        Ok(S3Response::new(DeleteObjectsOutput { deleted, ..Default::default() }))
    }

    async fn list_objects_v2(&self, req: S3Request<ListObjectsV2Input>) -> S3Result<S3Response<ListObjectsV2Output>> {
        let prefix = req.input.prefix.unwrap_or_default();
        let (mut contents, mut folders) = (Vec::new(), Vec::new());
        for (key, bytes) in self.lock().objects.range(prefix.clone()..).take_while(|(key, _)| key.starts_with(&prefix))
        {
            let folder = req.input.delimiter.as_ref().and_then(|mark| key[prefix.len()..].find(mark));
            match folder.map(|end| key[..=prefix.len() + end].to_owned()) {
                Some(folder) if folders.last() == Some(&folder) => {}
                Some(folder) => folders.push(folder),
                None => contents.push(Object {
                    key: Some(key.clone()),
                    size: Some(bytes.len() as i64),
                    e_tag: Some(tag(bytes)),
                    last_modified: Some(epoch()),
                    ..Default::default()
                }),
            }
        }
        let folders = folders.into_iter().map(|prefix| CommonPrefix { prefix: Some(prefix) });
        Ok(S3Response::new(ListObjectsV2Output {
            key_count: Some((contents.len() + folders.len()) as i32),
            contents: Some(contents),
            common_prefixes: Some(folders.collect()),
            is_truncated: Some(false),
            ..Default::default()
        }))
    }

    async fn create_multipart_upload(
        &self,
        req: S3Request<CreateMultipartUploadInput>,
    ) -> S3Result<S3Response<CreateMultipartUploadOutput>> {
        let mut kept = self.lock();
        kept.begun += 1;
        let id = format!("upload-{}", kept.begun);
        kept.uploads.insert(id.clone(), (req.input.key.clone(), Parts::new()));
        let told = CreateMultipartUploadOutput {
            key: Some(req.input.key),
            bucket: Some(req.input.bucket),
            upload_id: Some(id),
            ..Default::default()
        };
        Ok(S3Response::new(told))
    }

    async fn list_multipart_uploads(
        &self,
        req: S3Request<ListMultipartUploadsInput>,
    ) -> S3Result<S3Response<ListMultipartUploadsOutput>> {
        let prefix = req.input.prefix.unwrap_or_default();
        let kept = self.lock();
        let pending = kept.uploads.iter().filter(|(_, (key, _))| key.starts_with(&prefix));
        let pending = pending.map(|(id, (key, _))| MultipartUpload {
            key: Some(key.clone()),
            upload_id: Some(id.clone()),
            ..Default::default()
        });
        let (uploads, is_truncated) = (Some(pending.collect()), Some(false));
        Ok(S3Response::new(ListMultipartUploadsOutput { uploads, is_truncated, ..Default::default() }))
    }

    async fn upload_part(&self, req: S3Request<UploadPartInput>) -> S3Result<S3Response<UploadPartOutput>> {
        let bytes = collect(req.input.body).await?;
        let e_tag = Some(tag(&bytes));
        let uploads = &mut self.lock().uploads;
        let (_, parts) = uploads.get_mut(&req.input.upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        parts.insert(req.input.part_number, bytes);
        Ok(S3Response::new(UploadPartOutput { e_tag, ..Default::default() }))
    }

    async fn complete_multipart_upload(
        &self,
        req: S3Request<CompleteMultipartUploadInput>,
    ) -> S3Result<S3Response<CompleteMultipartUploadOutput>> {
        let CompleteMultipartUploadInput { bucket, key, upload_id, multipart_upload, .. } = req.input;
        let mut kept = self.lock();
        let (of, parts) = kept.uploads.get(&upload_id).ok_or_else(|| s3_error!(NoSuchUpload))?;
        let named = multipart_upload.and_then(|upload| upload.parts).unwrap_or_default();
        let mut bytes = Vec::new();
        for part in &named {
            let found = part.part_number.and_then(|number| parts.get(&number)).filter(|_| *of == key);
            let found = found.filter(|found| part.e_tag.as_ref().is_some_and(|named| *named == tag(found)));
            bytes.extend_from_slice(found.ok_or_else(|| s3_error!(InvalidPart))?);
        }
        let e_tag = Some(tag(&bytes));
        kept.objects.insert(key.clone(), bytes.into());
        kept.uploads.remove(&upload_id);
        let (bucket, key) = (Some(bucket), Some(key));
        Ok(S3Response::new(CompleteMultipartUploadOutput { bucket, key, e_tag, ..Default::default() }))
    }

    async fn abort_multipart_upload(
        &self,
        req: S3Request<AbortMultipartUploadInput>,
    ) -> S3Result<S3Response<AbortMultipartUploadOutput>> {
        let gone = self.lock().uploads.remove(&req.input.upload_id);
        gone.ok_or_else(|| s3_error!(NoSuchUpload))?;
        Ok(S3Response::new(AbortMultipartUploadOutput::default()))
    }
}
