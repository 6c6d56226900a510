"""Files that programs lay beside pictures, for tests: XMP as digiKam and Lightroom write it, Google Takeout's JSON."""

from __future__ import annotations

import json

DIGIKAM = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="XMP Core 4.4.0-Exiv2">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:digiKam="http://www.digikam.org/ns/1.0/"
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:MicrosoftPhoto="http://ns.microsoft.com/photo/1.0/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:acdsee="http://ns.acdsee.com/iptc/1.0/"
    xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/"
    xmlns:stArea="http://ns.adobe.com/xmp/sType/Area#"
    xmlns:stDim="http://ns.adobe.com/xap/1.0/sType/Dimensions#"
   digiKam:PickLabel="3"
   digiKam:ColorLabel="4"
   xmp:CreatorTool="digiKam-8.1.0"
   xmp:Rating="4"
   xmp:Label="Green"
   MicrosoftPhoto:Rating="75"
   acdsee:rating="4"
   exif:DateTimeOriginal="2022-07-08T09:10:11">
   <digiKam:TagsList><rdf:Seq><rdf:li>Places/Lake</rdf:li><rdf:li>People/Ann</rdf:li></rdf:Seq></digiKam:TagsList>
   <MicrosoftPhoto:LastKeywordXMP>
    <rdf:Bag><rdf:li>Places/Lake</rdf:li><rdf:li>People/Ann</rdf:li></rdf:Bag>
   </MicrosoftPhoto:LastKeywordXMP>
   <lr:hierarchicalSubject>
    <rdf:Bag><rdf:li>Places|Lake</rdf:li><rdf:li>People|Ann</rdf:li></rdf:Bag>
   </lr:hierarchicalSubject>
   <dc:subject><rdf:Bag><rdf:li>Lake</rdf:li><rdf:li>Ann</rdf:li></rdf:Bag></dc:subject>
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">湖边</rdf:li></rdf:Alt></dc:title>
   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">Ann am Wörthersee</rdf:li></rdf:Alt></dc:description>
   <mwg-rs:Regions rdf:parseType="Resource">
    <mwg-rs:AppliedToDimensions stDim:w="64" stDim:h="48" stDim:unit="pixel"/>
    <mwg-rs:RegionList>
     <rdf:Bag>
      <rdf:li>
       <rdf:Description mwg-rs:Name="Ann" mwg-rs:Type="Face">
        <mwg-rs:Area stArea:x="0.5" stArea:y="0.4" stArea:w="0.1" stArea:h="0.2" stArea:unit="normalized"/>
       </rdf:Description>
      </rdf:li>
     </rdf:Bag>
    </mwg-rs:RegionList>
   </mwg-rs:Regions>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()
"""As digiKam writes ``x.jpg.xmp``: tags three times over, a face as a region of the Metadata Working Group."""

LIGHTROOM = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/" x:xmptk="Adobe XMP Core 7.0-c000 1.000000, 0000/00/00-00:00:00        ">
 <rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
  <rdf:Description rdf:about=""
    xmlns:xmp="http://ns.adobe.com/xap/1.0/"
    xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
    xmlns:exif="http://ns.adobe.com/exif/1.0/"
    xmlns:aux="http://ns.adobe.com/exif/1.0/aux/"
    xmlns:photoshop="http://ns.adobe.com/photoshop/1.0/"
    xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/"
    xmlns:lr="http://ns.adobe.com/lightroom/1.0/"
    xmlns:dc="http://purl.org/dc/elements/1.1/"
    xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/"
   xmp:Rating="5"
   xmp:Label="Red"
   xmp:CreatorTool="Adobe Photoshop Lightroom Classic 12.0 (Windows)"
   xmp:ModifyDate="2022-08-01T18:00:00+02:00"
   xmp:CreateDate="2022-07-30T17:45:31.42"
   tiff:Make="Canon"
   tiff:Model="Canon EOS R5"
   tiff:Orientation="1"
   exif:ExposureTime="1/250"
   exif:FNumber="28/10"
   exif:FocalLength="50/1"
   exif:DateTimeOriginal="2022-07-30T17:45:31.42+02:00"
   exif:GPSLatitude="46,37.2N"
   exif:GPSLongitude="14,18.6E"
   exif:GPSAltitudeRef="0"
   exif:GPSAltitude="4400/10"
   aux:Lens="RF50mm F1.2 L USM"
   photoshop:City="Klagenfurt"
   photoshop:State="Kärnten"
   photoshop:Country="Österreich"
   crs:Version="15.0"
   crs:ProcessVersion="11.0"
   crs:Exposure2012="+0.35"
   crs:HasSettings="True">
   <exif:ISOSpeedRatings><rdf:Seq><rdf:li>100</rdf:li></rdf:Seq></exif:ISOSpeedRatings>
   <dc:creator><rdf:Seq><rdf:li>Ann Example</rdf:li></rdf:Seq></dc:creator>
   <dc:title><rdf:Alt><rdf:li xml:lang="x-default">Jetty</rdf:li></rdf:Alt></dc:title>
   <dc:description><rdf:Alt><rdf:li xml:lang="x-default">A jetty in the evening</rdf:li></rdf:Alt></dc:description>
   <dc:subject><rdf:Bag><rdf:li>evening</rdf:li><rdf:li>jetty</rdf:li></rdf:Bag></dc:subject>
   <lr:hierarchicalSubject>
    <rdf:Bag><rdf:li>light|evening</rdf:li><rdf:li>jetty</rdf:li></rdf:Bag>
   </lr:hierarchicalSubject>
  </rdf:Description>
 </rdf:RDF>
</x:xmpmeta>
<?xpacket end="w"?>""".encode()
"""As Lightroom Classic writes ``x.xmp`` beside a raw file: what the camera said, what a person added, its settings."""


def takeout(name: str, description: str) -> bytes:
    """Write what Google Takeout lays beside a picture of a name."""
    place = {
        "latitude": 48.2,
        "longitude": 16.37,
        "altitude": 170.0,
        "latitudeSpan": 0.0,
        "longitudeSpan": 0.0,
    }
    written = {
        "title": name,
        "description": description,
        "imageViews": "3",
        "creationTime": {"timestamp": "1618250000", "formatted": "12.04.2021, 17:53:20 UTC"},
        "photoTakenTime": {"timestamp": "1618241412", "formatted": "12.04.2021, 15:30:12 UTC"},
        "geoData": place,
        "geoDataExif": place,
        "people": [{"name": "Ann"}, {"name": "李"}],
        "favorited": True,
        "url": "https://photos.google.com/photo/x",
        "googlePhotosOrigin": {"mobileUpload": {"deviceType": "ANDROID_PHONE"}},
    }
    return json.dumps(written, ensure_ascii=False, indent=2).encode()
